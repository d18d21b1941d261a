import Glibc

/// Where a VNC server listens.
public struct VNCAddress: Hashable, Sendable, CustomStringConvertible {
  /// The port of display 0.
  public static let basePort: UInt16 = 5900
  /// Display 0 on this machine only.
  public static let standard = VNCAddress(host: "127.0.0.1", isIPv6: false, port: basePort)

  /// A numeric address.
  public let host: String
  /// Whether it is one of IPv6.
  public let isIPv6: Bool
  /// The TCP port; 0 lets the system choose.
  public let port: UInt16

  private init(host: String, isIPv6: Bool, port: UInt16) {
    self.host = host
    self.isIPv6 = isIPv6
    self.port = port
  }

  /// Reads "127.0.0.1", "127.0.0.1:5901", "[::1]:5901", "localhost:1", ":1".
  ///
  /// Without an address it is 127.0.0.1. After one colon a number below 100 is a display, so that 1 means port 5901;
  /// after two colons it is always a port. That is how VNC viewers read addresses.
  public init(parsing text: String) throws(CompositorError) {
    guard let (host, rest) = Self.split(text), let port = Self.port(rest) else { throw .badAddress(text) }
    switch host {
    case "", "localhost": self.init(host: "127.0.0.1", isIPv6: false, port: port)
    case _ where Self.isNumeric(host, AF_INET): self.init(host: host, isIPv6: false, port: port)
    case _ where Self.isNumeric(host, AF_INET6): self.init(host: host, isIPv6: true, port: port)
    default: throw .badAddress(text)
    }
  }

  /// Whether only this machine reaches it.
  public var isLoopback: Bool {
    isIPv6 ? Self.bytes(host, AF_INET6) == Self.bytes("::1", AF_INET6) : Self.bytes(host, AF_INET)?.first == 127
  }

  /// The same address with another port.
  func with(port: UInt16) -> VNCAddress {
    VNCAddress(host: host, isIPv6: isIPv6, port: port)
  }

  /// As "127.0.0.1:5901".
  public var description: String {
    isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  /// Host, and the rest from the first colon on.
  private static func split(_ text: String) -> (host: String, rest: Substring)? {
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return nil }
      let host = String(text[text.index(after: text.startIndex)..<end])
      return host.isEmpty ? nil : (host, text[text.index(after: end)...])
    }
    guard let colon = text.firstIndex(of: ":") else { return (text, "") }
    return (String(text[..<colon]), text[colon...])
  }

  private static func port(_ rest: Substring) -> UInt16? {
    if rest.isEmpty { return basePort }
    let isPort = rest.hasPrefix("::")
    let digits = rest.dropFirst(isPort ? 2 : 1)
    guard rest.hasPrefix(":"), !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }),
      let number = UInt16(digits)
    else { return nil }
    return isPort || number >= 100 ? number : basePort + number
  }

  private static func isNumeric(_ text: String, _ family: Int32) -> Bool {
    bytes(text, family) != nil
  }

  private static func bytes(_ text: String, _ family: Int32) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: family == AF_INET ? 4 : 16)
    return inet_pton(family, text, &bytes) == 1 ? bytes : nil
  }
}
