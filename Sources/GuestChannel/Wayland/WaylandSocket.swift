import Buffers
import CrossDomain
import Platform

/// The connection to a compositor. Nothing waits for it: what it does not take is kept, up to a limit, and what it says is
/// read when somebody wants to know.
final class WaylandSocket {
  /// Bytes that the compositor has not taken, before the connection ends.
  static let maximumWaitingBytes = 1 << 20
  /// Descriptors that the compositor has not taken, before the connection ends.
  static let maximumWaitingDescriptors = 256
  /// The most that is received at once: with what is around it, as much as programs of others have room for.
  static let maximumReceived = 4096 - CrossDomain.transmissionByteCount

  /// What the compositor said.
  enum Received {
    case data([UInt8], [SharedDescriptor])
    case end(String)
  }

  /// What waits to be sent; charged to the VM as long as it is here.
  private final class Parcel {
    let bytes: [UInt8]
    let descriptors: [SharedDescriptor]
    private var sent = 0
    private let charge: Ledger.Charge?

    init(_ bytes: [UInt8], from start: Int, _ descriptors: [SharedDescriptor], charge: consuming Ledger.Charge?) {
      self.bytes = bytes
      self.descriptors = descriptors
      sent = start
      self.charge = charge
    }

    /// Sends; false when the socket is full.
    func send(_ raw: Int32) throws(SystemError) -> Bool {
      try WaylandSocket.transmit(bytes, from: &sent, descriptors, raw)
    }
  }

  private let descriptor: SharedDescriptor
  private let ledger: Ledger?
  private let ready: () -> Void
  private var watch: ReadinessWatch?
  private var outbox: [Parcel] = []
  private var waitingBytes = 0
  private var waitingDescriptors = 0
  private var isReadable = false
  /// Called when the connection cannot go on.
  var failed: (String) -> Void = { _ in }

  init(_ descriptor: SharedDescriptor, loop: EventLoop, ledger: Ledger?, ready: @escaping () -> Void) {
    self.descriptor = descriptor
    self.ledger = ledger
    self.ready = ready
    watch = ReadinessWatch(descriptor, loop: loop) { [weak self] in self?.isReady($0) }
    watch?.wait(for: .readable)
  }

  func close() {
    watch?.end()
    outbox.removeAll()
  }

  private func isReady(_ readiness: EventLoop.Readiness) {
    if readiness.contains(.writable) { flush() }
    guard readiness.contains(.readable) else { return }
    isReadable = true
    ready()
  }

  // MARK: Sending

  /// Sends, or keeps what does not fit.
  func send(_ bytes: [UInt8], _ descriptors: [SharedDescriptor]) {
    do throws(SystemError) {
      var sent = 0
      if outbox.isEmpty, try Self.transmit(bytes, from: &sent, descriptors, descriptor.raw) { return }
      keep(bytes, from: sent, sent == 0 ? descriptors : [])
    } catch {
      failed("\(error)")
    }
  }

  private func keep(_ bytes: [UInt8], from start: Int, _ descriptors: [SharedDescriptor]) {
    guard waitingBytes + bytes.count <= Self.maximumWaitingBytes,
      waitingDescriptors + descriptors.count <= Self.maximumWaitingDescriptors
    else { return failed("the compositor does not take what it is sent") }
    let demand = Ledger.Demand(bytes.count, as: .bookkeeping, descriptors: descriptors.count)
    do throws(Ledger.OverLimit) {
      outbox.append(Parcel(bytes, from: start, descriptors, charge: try ledger?.charge(demand)))
      waitingBytes += bytes.count
      waitingDescriptors += descriptors.count
      watch?.wait(for: .writable)
    } catch {
      failed("\(error)")
    }
  }

  private func flush() {
    do throws(SystemError) {
      while let first = outbox.first {
        guard try first.send(descriptor.raw) else {
          watch?.wait(for: .writable)
          return
        }
        waitingBytes -= first.bytes.count
        waitingDescriptors -= first.descriptors.count
        outbox.removeFirst()
      }
    } catch {
      failed("\(error)")
    }
  }

  /// Sends from `start` on, the descriptors with the first byte; false when the socket is full.
  private static func transmit(
    _ bytes: [UInt8], from start: inout Int, _ descriptors: [SharedDescriptor], _ raw: Int32
  ) throws(SystemError) -> Bool {
    while start < bytes.count {
      let numbers = start == 0 ? descriptors.map(\.raw) : []
      let sent = try bytes.withUnsafeBytes { bytes -> Result<Int?, SystemError> in
        let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
        return Result { () throws(SystemError) in try UnixSocket.send(raw, rest, descriptors: numbers) }
      }.get()
      guard let sent, sent > 0 else { return false }
      start += sent
    }
    return true
  }

  // MARK: Receiving

  /// What comes next; nil when there is nothing: then `ready` is called when there is.
  func receive() -> Received? {
    guard isReadable else { return nil }
    var numbers: [Int32] = []
    let (received, data) = read(&numbers)
    let descriptors = numbers.map { SharedDescriptor(FileDescriptor(adopting: $0)) }
    switch received {
    case .success(.bytes(_, truncated: false)): return .data(data, descriptors)
    case .success(.bytes): return .end("more descriptors than anybody sends")
    case .success(.closed): return .end("the compositor has closed it")
    case .failure(let error): return .end("\(error)")
    case .success(.wouldBlock):
      isReadable = false
      watch?.wait(for: .readable)
      return nil
    }
  }

  private func read(_ numbers: inout [Int32]) -> (Result<UnixSocket.Received, SystemError>, [UInt8]) {
    var result = Result<UnixSocket.Received, SystemError>.success(.wouldBlock)
    let data = [UInt8](unsafeUninitializedCapacity: Self.maximumReceived) { room, count in
      result = Result { () throws(SystemError) in
        try UnixSocket.receive(
          descriptor.raw, into: UnsafeMutableRawBufferPointer(room), descriptors: &numbers,
          maximumDescriptors: CrossDomain.maximumIdentifierCount)
      }
      if case .success(.bytes(let received, _)) = result { count = received }
    }
    return (result, data)
  }
}
