import Buffers
import CrossDomain
import GPUDevice
import Platform

/// The pipes of a channel, by number: those whose contents the program gets (READ), whose numbers it chooses, and those that
/// it writes into (WRITE), whose numbers it is told. This is how a clipboard's contents travel.
final class PipeTable {
  /// Pipes of a channel, both directions together.
  static let maximumCount = 64
  /// Bytes that nobody has taken, in all pipes that the program writes into.
  static let maximumWaitingBytes = 4 << 20
  /// The lowest number of a pipe that the program reads.
  static let firstChosenNumber: UInt32 = 0x8000_0000

  private let loop: EventLoop
  private let ledger: Ledger?
  private let ready: () -> Void
  private var reading: [UInt32: ReadPipe] = [:]
  private var writing: [UInt32: WritePipe] = [:]
  /// Pipes that have something, in the order in which they came to have it.
  private var readable: [UInt32] = []
  private var numbers = NumberSequence()

  init(loop: EventLoop, ledger: Ledger?, ready: @escaping () -> Void) {
    self.loop = loop
    self.ledger = ledger
    self.ready = ready
  }

  private var count: Int { reading.count + writing.count }

  private func charge() throws(GPUError) -> Ledger.Charge? {
    guard count < Self.maximumCount else { throw .contextCommand("more than \(Self.maximumCount) pipes") }
    do throws(Ledger.OverLimit) {
      return try ledger?.charge(Ledger.Demand(0, as: .bookkeeping, descriptors: 1))
    } catch {
      throw .overLimit(error)
    }
  }

  // MARK: Pipes that the program reads

  /// Pipes that are opened together: when one cannot be, none is.
  struct Batch: ~Copyable {
    private let table: PipeTable
    private var numbers: [UInt32] = []
    init(_ table: PipeTable) { self.table = table }

    deinit { for number in numbers { table.close(number) } }

    /// Opens one; the end that is for somebody else.
    mutating func open(_ number: UInt32) throws(GPUError) -> SharedDescriptor {
      let end = try table.open(number)
      numbers.append(number)
      return end
    }

    /// All are open.
    mutating func finish() { numbers.removeAll() }
  }

  private func open(_ number: UInt32) throws(GPUError) -> SharedDescriptor {
    guard number >= Self.firstChosenNumber, reading[number] == nil else {
      throw .contextCommand("a pipe's number that is in use, or not the program's to choose")
    }
    let charge = try charge()
    do throws(SystemError) {
      let (mine, theirs) = try AnonymousPipe.make()
      reading[number] = try ReadPipe(mine, loop: loop, charge: charge) { [weak self] in self?.isReadable(number) }
      return theirs
    } catch {
      throw .hostMemory(code: error.code)
    }
  }

  private func isReadable(_ number: UInt32) {
    readable.append(number)
    ready()
  }

  private func close(_ number: UInt32) {
    reading[number] = nil
    readable.removeAll { $0 == number }
  }

  /// The next piece of a pipe's contents, each in turn; nil when there is none.
  func next() -> PipeData? {
    while !readable.isEmpty {
      let number = readable.removeFirst()
      switch reading[number]?.read() {
      case .data(let data):
        readable.append(number)
        return PipeData(pipe: number, isHangUp: false, data: data)
      case .end:
        close(number)
        return PipeData(pipe: number, isHangUp: true, data: [])
      case nil: continue
      }
    }
    return nil
  }

  // MARK: Pipes that the program writes into

  /// The compositor gave the end of a pipe; the number that stands for it.
  func add(_ descriptor: SharedDescriptor) throws(GPUError) -> Transmission.Identifier {
    let charge = try charge()
    let number = numbers.next { writing[$0] != nil }
    do throws(SystemError) {
      writing[number] = try WritePipe(descriptor, loop: loop, ledger: ledger, charge: charge) { [weak self] in
        self?.writing[number] = nil
      }
    } catch {
      throw .hostMemory(code: error.code)
    }
    return Transmission.Identifier(number: number, kind: .writePipe)
  }

  /// Writes, or keeps what does not fit; why what was written is lost, if it is.
  func write(_ data: PipeData) throws(GPUError) -> String? {
    guard let pipe = writing[data.pipe], !pipe.isEnding else { throw .contextCommand("a pipe that there is not") }
    let waiting = writing.values.reduce(0) { $0 + $1.waitingBytes }
    let trouble = pipe.write(data.data, room: Self.maximumWaitingBytes - waiting)
    if data.isHangUp { pipe.end() }
    return trouble
  }

  func removeAll() {
    reading.removeAll()
    readable.removeAll()
    writing.removeAll()
  }
}
