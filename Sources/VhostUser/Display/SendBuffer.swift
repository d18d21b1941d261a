import Glibc

/// Asks for a send buffer of that size. The kernel gives what the system allows; a refusal changes nothing.
func setSendBuffer(of raw: Int32, to bytes: Int32) {
  var bytes = bytes
  _ = setsockopt(raw, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
}
