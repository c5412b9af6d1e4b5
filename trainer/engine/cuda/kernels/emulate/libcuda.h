// What the fake driver offers to libraries that use the device by themselves, such as libcublasLt.cpp.
#pragma once
#include <cstddef>
#include <functional>

namespace emulate {

int ready();                                // the error that a call would return, 0 if there is a context and a device
bool in_block(const void *p, size_t bytes); // whether they lie within one allocation
// queue_kernel queues a kernel on a stream, or captures it; it returns an error of the driver.
int queue_kernel(void *stream, std::function<void()> kernel);

} // namespace emulate
