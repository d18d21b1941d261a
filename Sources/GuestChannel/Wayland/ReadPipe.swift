import Buffers
import CrossDomain
import Platform

/// A pipe whose contents a program gets, piece by piece, when it asks for them.
final class ReadPipe {
  /// The most that is read at once: with what is around it, as much as programs of others have room for.
  static let maximumRead = 4096 - CrossDomain.pipeByteCount

  /// What came through it.
  enum Received {
    case data([UInt8])
    case end
  }

  private let descriptor: SharedDescriptor
  private let charge: Ledger.Charge?
  private var watch: ReadinessWatch?

  /// Calls `ready` when there is something, once until ``read()`` has said that there is nothing.
  init(
    _ descriptor: SharedDescriptor, loop: EventLoop, charge: consuming Ledger.Charge?, ready: @escaping () -> Void
  ) throws(SystemError) {
    self.descriptor = descriptor
    self.charge = charge
    try UnixSocket.setNonBlocking(descriptor.raw, true)
    let watch = ReadinessWatch(descriptor, loop: loop) { _ in ready() }
    self.watch = watch
    watch.wait(for: .readable)
  }

  deinit { watch?.end() }

  /// What comes next; nil when there is nothing.
  func read() -> Received? {
    var received = AnonymousPipe.Received.ended
    let data = [UInt8](unsafeUninitializedCapacity: Self.maximumRead) { room, count in
      received = AnonymousPipe.read(descriptor.raw, into: UnsafeMutableRawBufferPointer(room))
      if case .bytes(let read) = received { count = read }
    }
    switch received {
    case .bytes: return .data(data)
    case .ended: return .end
    case .wouldBlock:
      watch?.wait(for: .readable)
      return nil
    }
  }
}
