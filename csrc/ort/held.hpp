// An object of ONNX Runtime's, released on every way out.
#pragma once

namespace seatrial::ort {

template <typename T>
class Held {
  public:
    explicit Held(void (*release)(T*)) : release_(release) {}
    ~Held() {
        if (pointer) release_(pointer);
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    T* pointer = nullptr;

  private:
    void (*release_)(T*);
};

}  // namespace seatrial::ort
