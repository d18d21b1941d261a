import Platform

/// What a card asks its connector for. It names nothing: what is behind each was fixed when both were started.
enum ConnectorRequest: UInt32, CaseIterable {
  /// A new connection to the hub.
  case hub = 1
  /// A new connection to the Wayland compositor.
  case wayland = 2
  /// The file of the descriptor that comes with it, opened again for reading only.
  case readOnly = 3
  /// The end of the card's socket file.
  case removeSocket = 4
}

/// Request and answer: two words. A descriptor may come with each.
struct ConnectorMessage: Equatable {
  /// The request's kind, or in an answer a value of errno, 0 for success.
  var word: UInt32
  /// An answer has its request's.
  var serial: UInt32

  private static let byteCount = 8

  /// Sends it, waiting for room.
  func send(_ socket: Int32, _ descriptor: Int32? = nil) throws(SystemError) {
    let words = [word, serial]
    let result = words.withUnsafeBytes { bytes in
      Result { () throws(SystemError) in
        try UnixSocket.send(socket, bytes, descriptors: descriptor.map { [$0] } ?? [], wait: true)
      }
    }
    guard try result.get() == Self.byteCount else { throw SystemError(call: "sendmsg", code: 105) }
  }

  /// The next one, waited for, and the descriptor that came with it; nil when the other end has gone.
  static func receive(_ socket: Int32) throws(SystemError) -> (message: Self, descriptor: Int32?)? {
    var words: [UInt32] = [0, 0]
    var descriptors: [Int32] = []
    let result = words.withUnsafeMutableBytes { room in
      Result { () throws(SystemError) in
        try UnixSocket.receive(socket, into: room, descriptors: &descriptors, maximumDescriptors: 1, wait: true)
      }
    }
    guard case .bytes(byteCount, truncated: false) = try result.get() else {
      closeAll(descriptors)
      return nil
    }
    return (Self(word: words[0], serial: words[1]), descriptors.first)
  }
}
