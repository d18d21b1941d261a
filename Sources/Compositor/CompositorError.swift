import Platform

/// Why the compositor, or one of its parts, cannot do what it was asked to.
public enum CompositorError: Error, Equatable, Sendable {
  /// Not an output that exists.
  case unknownOutput(String)
  /// Not an address that VNC clients could be served at.
  case badAddress(String)
  /// An address that others on the network reach, without a password.
  case passwordNeeded(address: String)
  /// The file that should hold the password is empty or not readable.
  case passwordFile(path: String, reason: String)
  /// Somebody listens there already.
  case addressInUse(String)
  /// The size or refresh rate is out of range.
  case badMode(String)
  /// A PNG file could not be written.
  case image(path: String, reason: String)
  /// A library is not installed.
  case libraryMissing(String)
  /// A library had no memory left.
  case outOfMemory
  /// The system refused.
  case system(SystemError)
}

extension CompositorError: CustomStringConvertible {
  /// What was wrong, and what helps.
  public var description: String {
    switch self {
    case .unknownOutput(let text): "unknown output \"\(text)\": use \"headless\" or \"vnc=ADDRESS[:PORT]\""
    case .badAddress(let text):
      "\"\(text)\" is no VNC address: use IP:PORT such as 127.0.0.1:5901, [::1]:5901, or :DISPLAY such as :1"
    case .passwordNeeded(let address):
      "refusing to serve VNC at \(address) without a password: give a password file, or use a loopback address"
    case .passwordFile(let path, let reason): "password file \(path): \(reason)"
    case .addressInUse(let address): "\(address) is in use: choose another port"
    case .badMode(let text): text
    case .image(let path, let reason): "\(path): \(reason)"
    case .libraryMissing(let name): "\(name) is not installed (Debian: apt-get install libvncserver1)"
    case .outOfMemory: "out of memory"
    case .system(let error): error.description
    }
  }
}
