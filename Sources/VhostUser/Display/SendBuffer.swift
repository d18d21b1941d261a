import Glibc

/// Asks for a larger send buffer: the more of a frame the kernel takes at once, the fewer wake-ups it costs. Beyond the
/// system's limit only with privileges; a refusal changes nothing.
func enlargeSendBuffer(of raw: Int32, to bytes: Int32) {
  var bytes = bytes
  let size = socklen_t(MemoryLayout<Int32>.size)
  if setsockopt(raw, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, size) < 0 {
    _ = setsockopt(raw, SOL_SOCKET, SO_SNDBUF, &bytes, size)
  }
}
