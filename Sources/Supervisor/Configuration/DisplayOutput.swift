/// Where a display's picture goes, as `--output` and the configuration name it.
public enum DisplayOutput: Hashable, Sendable, CustomStringConvertible {
  /// Only into shared memory, for screenshots and other consumers.
  case headless
  /// To a VNC server that listens there.
  case vnc(address: String, port: UInt16)

  /// The port of VNC display 0.
  public static let defaultVNCPort: UInt16 = 5900

  /// What ``init(_:)`` reads, for messages.
  public static let expectation = "\"headless\" or \"vnc=ADDRESS[:PORT]\", such as \"vnc=127.0.0.1:5900\""

  /// Reads "headless", "vnc=127.0.0.1", "vnc=127.0.0.1:5901", "vnc=[::1]:5901", "vnc=localhost", "vnc=:1".
  ///
  /// As VNC viewers do, it takes a number below 100 for a display, so that 1 means port 5901.
  public init?(_ text: String) {
    if text == "headless" {
      self = .headless
      return
    }
    guard text.hasPrefix("vnc="), text.count > 4 else { return nil }
    self.init(vnc: text.dropFirst(4))
  }

  private init?(vnc text: Substring) {
    let address: Substring
    let rest: Substring
    if text.first == "[" {
      guard let end = text.firstIndex(of: "]") else { return nil }
      address = text[text.index(after: text.startIndex)..<end]
      rest = text[text.index(after: end)...]
      guard Self.isIPv6(address) else { return nil }
    } else {
      address = text.prefix { $0 != ":" }
      rest = text.dropFirst(address.count)
      guard address.isEmpty || address == "localhost" || Self.isIPv4(address) else { return nil }
    }
    guard let port = Self.port(rest) else { return nil }
    self = .vnc(address: address.isEmpty || address == "localhost" ? "127.0.0.1" : String(address), port: port)
  }

  private static func port(_ text: Substring) -> UInt16? {
    if text.isEmpty { return defaultVNCPort }
    let digits = text.dropFirst()
    guard text.first == ":", digits.allSatisfy(\.isASCIIDigit), let number = UInt16(digits) else { return nil }
    return number < 100 ? defaultVNCPort + number : number
  }

  private static func isIPv4(_ text: Substring) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { $0.allSatisfy(\.isASCIIDigit) && UInt8($0) != nil }
  }

  private static func isIPv6(_ text: Substring) -> Bool {
    text.contains(":") && text.allSatisfy { $0 == ":" || $0.isHexDigit && $0.isASCII }
  }

  /// Whether only programs on this machine can reach it.
  public var isLocal: Bool {
    switch self {
    case .headless: true
    case .vnc(let address, _): address == "::1" || address.hasPrefix("127.")
    }
  }

  /// As ``init(_:)`` reads it, with the port.
  public var description: String {
    switch self {
    case .headless: "headless"
    case .vnc(let address, let port): address.contains(":") ? "vnc=[\(address)]:\(port)" : "vnc=\(address):\(port)"
    }
  }
}

extension Character {
  fileprivate var isASCIIDigit: Bool { isASCII && isNumber }
}
