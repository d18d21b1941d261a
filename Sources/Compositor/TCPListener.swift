import Glibc
import Platform

/// A listening TCP socket.
struct TCPListener: ~Copyable {
  let descriptor: FileDescriptor
  /// Where it listens, with the port that the system chose.
  let address: VNCAddress

  init(_ address: VNCAddress) throws(CompositorError) {
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let raw = Glibc.socket(address.isIPv6 ? AF_INET6 : AF_INET, kind, 0)
    guard raw >= 0 else { throw .system(.last("socket")) }
    let socket = FileDescriptor(adopting: raw)
    var one: Int32 = 1
    setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    guard Self.bind(raw, address) == 0, listen(raw, 16) == 0 else {
      throw errno == EADDRINUSE
        ? .addressInUse(address.description) : .system(.last("listen at \(address)"))
    }
    self.address = address.with(port: Self.port(raw) ?? address.port)
    descriptor = socket
  }

  private static func bind(_ raw: Int32, _ address: VNCAddress) -> Int32 {
    if address.isIPv6 {
      var name = sockaddr_in6()
      name.sin6_family = sa_family_t(AF_INET6)
      name.sin6_port = address.port.bigEndian
      inet_pton(AF_INET6, address.host, &name.sin6_addr)
      return bind(raw, &name, MemoryLayout<sockaddr_in6>.size)
    }
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = address.port.bigEndian
    inet_pton(AF_INET, address.host, &name.sin_addr)
    return bind(raw, &name, MemoryLayout<sockaddr_in>.size)
  }

  private static func bind(_ raw: Int32, _ name: UnsafeRawPointer, _ count: Int) -> Int32 {
    Glibc.bind(raw, name.assumingMemoryBound(to: sockaddr.self), socklen_t(count))
  }

  private static func port(_ raw: Int32) -> UInt16? {
    var name = sockaddr_in6()
    var count = socklen_t(MemoryLayout<sockaddr_in6>.size)
    let result = withUnsafeMutableBytes(of: &name) { bytes in
      bytes.baseAddress.map { getsockname(raw, $0.assumingMemoryBound(to: sockaddr.self), &count) } ?? -1
    }
    // The port is at the same place in both families.
    return result == 0 ? UInt16(bigEndian: name.sin6_port) : nil
  }
}
