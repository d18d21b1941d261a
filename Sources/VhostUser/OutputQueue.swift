import Platform

/// Bytes for a peer that does not read as fast as we write.
struct OutputQueue {
  private var bytes: [UInt8] = []

  /// Whether something waits until the socket can be written.
  var isEmpty: Bool { bytes.isEmpty }

  /// Sends, or keeps what the socket does not take now.
  mutating func send(_ message: [UInt8], to socket: Int32) throws(VhostUserError) {
    bytes.append(contentsOf: message)
    try flush(to: socket)
  }

  /// Sends with a descriptor, where nothing else waits; false, and nothing is sent, while the socket is full.
  mutating func send(
    _ message: [UInt8], descriptor: SharedDescriptor?, to socket: Int32
  ) throws(VhostUserError) -> Bool {
    guard bytes.isEmpty else { return false }
    guard let count = try Self.send(message[...], descriptor, to: socket) else { return false }
    bytes.append(contentsOf: message[count...])
    return true
  }

  /// Sends what waits.
  mutating func flush(to socket: Int32) throws(VhostUserError) {
    var sent = 0
    while sent < bytes.count {
      guard let count = try Self.send(bytes[sent...], to: socket) else { break }
      sent += count
    }
    bytes.removeSubrange(..<sent)
  }

  private static func send(
    _ slice: ArraySlice<UInt8>, _ descriptor: SharedDescriptor? = nil, to socket: Int32
  ) throws(VhostUserError) -> Int? {
    let descriptors = descriptor.map { [$0.raw] } ?? []
    let result = slice.withUnsafeBytes { buffer -> Result<Int?, SystemError> in
      do throws(SystemError) {
        return .success(try UnixSocket.send(socket, buffer, descriptors: descriptors))
      } catch {
        return .failure(error)
      }
    }
    switch result {
    case .success(let count): return count
    case .failure(let error): throw .system(error)
    }
  }
}
