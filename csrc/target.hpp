// Compiles a region of a file for one instruction set: TARGET_BEGIN("avx2,fma") ... TARGET_END.
//
// A region, not a compiler flag for the file: with a flag, an inline function of a shared header could be emitted with
// AVX2 and picked by the linker for code that runs on any CPU. Include every header before the region begins.
#pragma once

#define SEATRIAL_PRAGMA(text) _Pragma(#text)

#if defined(__clang__)
#define TARGET_BEGIN(isa) SEATRIAL_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define TARGET_END _Pragma("clang attribute pop")
#elif defined(__GNUC__)
#define TARGET_BEGIN(isa) _Pragma("GCC push_options") SEATRIAL_PRAGMA(GCC target(isa))
#define TARGET_END _Pragma("GCC pop_options")
#else
#error "The kernels need GCC or Clang"
#endif

#if defined(__x86_64__)
#define SEATRIAL_X86 1
#elif defined(__aarch64__)
#define SEATRIAL_NEON 1
#endif
