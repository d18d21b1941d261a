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

  /// Sends what waits.
  mutating func flush(to socket: Int32) throws(VhostUserError) {
    var sent = 0
    while sent < bytes.count {
      guard let count = try Self.send(bytes[sent...], to: socket) else { break }
      sent += count
    }
    bytes.removeSubrange(..<sent)
  }

  private static func send(_ slice: ArraySlice<UInt8>, to socket: Int32) throws(VhostUserError) -> Int? {
    let result = slice.withUnsafeBytes { buffer -> Result<Int?, SystemError> in
      do throws(SystemError) {
        return .success(try UnixSocket.send(socket, buffer))
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
