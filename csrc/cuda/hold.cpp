#include "hold.hpp"

namespace seatrial::cuda {

namespace {

// PTX of an old version, so that every driver's compiler takes it. Volatile accesses go to the host's memory each time.
constexpr char kPtx[] = R"(.version 7.0
.target sm_75
.address_size 64

.visible .entry seatrial_hold(.param .u64 flags, .param .u64 limit_ns)
{
    .reg .pred %p<3>;
    .reg .b32 %r<3>;
    .reg .b64 %rd<7>;

    ld.param.u64 %rd1, [flags];
    ld.param.u64 %rd2, [limit_ns];
    cvta.to.global.u64 %rd3, %rd1;
    mov.u64 %rd4, %globaltimer;
$again:
    ld.volatile.global.u32 %r1, [%rd3];
    setp.ne.u32 %p1, %r1, 0;
    @%p1 bra $over;
    mov.u64 %rd5, %globaltimer;
    sub.u64 %rd6, %rd5, %rd4;
    setp.lt.u64 %p2, %rd6, %rd2;
    @%p2 bra $again;
    mov.u32 %r2, 1;
    st.volatile.global.u32 [%rd3+4], %r2;
$over:
    ret;
}
)";

}  // namespace

Hold::Hold(const Stream& stream, std::int64_t limit_ns)
    : driver_(stream.context()->driver()),
      module_(stream.context(), kPtx),
      function_(module_.function("seatrial_hold")),
      flags_(stream.context(), 8),
      address_(flags_.device_address()),
      limit_ns_(static_cast<std::uint64_t>(limit_ns)) {
    const Current current(*stream.context());
    const int code = hold(stream.handle());
    release();
    if (code) driver_.fail(driver_.LaunchKernel.name, code, "kernel 'seatrial_hold'");
    stream.synchronize();
}

int Hold::hold(StreamHandle* stream) noexcept {
    __atomic_store_n(&flags()[0], 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&flags()[1], 0, __ATOMIC_SEQ_CST);
    void* parameters[] = {&address_, &limit_ns_};
    return driver_.LaunchKernel(function_, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr);
}

void Hold::release() noexcept {
    __atomic_store_n(&flags()[0], 1, __ATOMIC_SEQ_CST);
}

bool Hold::gave_up() const noexcept { return __atomic_load_n(&flags()[1], __ATOMIC_SEQ_CST) != 0; }

}  // namespace seatrial::cuda
