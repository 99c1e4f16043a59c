#pragma once
namespace seatrial { struct LoopKernels {}; }
