import Buffers
import Platform

/// A pipe that a program writes into and somebody of the host's reads. What its reader does not take is kept, up to a limit.
final class WritePipe {
  private final class Piece {
    let bytes: [UInt8]
    var written: Int
    private let charge: Ledger.Charge?

    init(_ bytes: [UInt8], from start: Int, charge: consuming Ledger.Charge?) {
      self.bytes = bytes
      written = start
      self.charge = charge
    }
  }

  private let ledger: Ledger?
  private let charge: Ledger.Charge?
  private let gone: () -> Void
  /// Nil when nobody reads any more, or what was written is lost: what comes then goes nowhere.
  private var descriptor: SharedDescriptor?
  private var watch: ReadinessWatch?
  private var pieces: [Piece] = []
  /// Bytes that the reader has not taken.
  private(set) var waitingBytes = 0
  /// Whether nothing more is written.
  private(set) var isEnding = false

  /// Calls `gone` when nothing more is written and all is taken.
  init(
    _ descriptor: SharedDescriptor, loop: EventLoop, ledger: Ledger?, charge: consuming Ledger.Charge?,
    gone: @escaping () -> Void
  ) throws(SystemError) {
    self.descriptor = descriptor
    self.ledger = ledger
    self.charge = charge
    self.gone = gone
    try UnixSocket.setNonBlocking(descriptor.raw, true)
    watch = ReadinessWatch(descriptor, loop: loop) { [weak self] _ in self?.flush() }
  }

  deinit { watch?.end() }

  /// Writes, or keeps what does not fit, at most `room` bytes; why all that waits is lost, if it is.
  func write(_ bytes: [UInt8], room: Int) -> String? {
    guard descriptor != nil, !bytes.isEmpty else { return nil }
    var written = 0
    if pieces.isEmpty, transmit(bytes, from: &written) { return nil }
    guard descriptor != nil else { return nil }
    guard bytes.count <= room else { return cut("its reader does not take what is written") }
    do throws(Ledger.OverLimit) {
      let charge = try ledger?.charge(Ledger.Demand(bytes.count, as: .bookkeeping))
      pieces.append(Piece(bytes, from: written, charge: charge))
      waitingBytes += bytes.count
      watch?.wait(for: .writable)
      return nil
    } catch {
      return cut("\(error)")
    }
  }

  /// Nothing more is written.
  func end() {
    isEnding = true
    if pieces.isEmpty { gone() }
  }

  private func flush() {
    while let first = pieces.first {
      guard transmit(first.bytes, from: &first.written) else {
        watch?.wait(for: .writable)
        return
      }
      guard descriptor != nil else { break }
      waitingBytes -= first.bytes.count
      pieces.removeFirst()
    }
    if isEnding { gone() }
  }

  /// Writes from `start` on; false when the pipe is full. Where nobody reads all is as if it were written.
  private func transmit(_ bytes: [UInt8], from start: inout Int) -> Bool {
    while start < bytes.count, let raw = descriptor?.raw {
      let result = bytes.withUnsafeBytes { bytes -> Result<Int?, SystemError> in
        let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
        return Result { () throws(SystemError) in try AnonymousPipe.write(raw, rest) }
      }
      switch result {
      case .success(let written?): start += written
      case .success(nil): return false
      case .failure(let error): _ = cut("\(error)")
      }
    }
    return true
  }

  private func cut(_ reason: String) -> String {
    watch?.end()
    watch = nil
    descriptor = nil
    pieces.removeAll()
    waitingBytes = 0
    return reason
  }
}
