import Platform

/// Descriptors that came with a message. What nobody takes is closed.
struct ReceivedDescriptors: ~Copyable {
  private var raws: [Int32] = []

  init() {
    raws.reserveCapacity(VhostUserLimits.descriptors)
  }

  deinit {
    Platform.closeAll(raws)
  }

  var count: Int { raws.count }

  /// Receives bytes into `room`, and whatever descriptors come with them. Those beyond the limit are closed.
  mutating func receive(
    from socket: Int32, into room: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> UnixSocket.Received {
    let received = try UnixSocket.receive(
      socket, into: room, descriptors: &raws, maximumDescriptors: VhostUserLimits.descriptors)
    if raws.count > VhostUserLimits.descriptors {
      Platform.closeAll(raws[VhostUserLimits.descriptors...])
      raws.removeSubrange(VhostUserLimits.descriptors...)
    }
    return received
  }

  /// The first that has not been taken.
  mutating func take() -> FileDescriptor? {
    raws.isEmpty ? nil : FileDescriptor(adopting: raws.removeFirst())
  }

  /// Closes what has not been taken.
  mutating func closeAll() {
    guard !raws.isEmpty else { return }
    Platform.closeAll(raws)
    raws.removeAll(keepingCapacity: true)
  }
}
