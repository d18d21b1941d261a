import Buffers
import CrossDomain
import GPUDevice
import Platform

/// A channel whose other end is a Wayland compositor of the host: bytes as they come; in the place of descriptors the
/// program has identifiers, of its resources, of the files and pipes that the compositor sent, of pipes.
///
/// What the bytes mean is between the program and the compositor: nothing of it is looked at here.
final class WaylandChannel: ChannelService {
  private let access: ContextAccess
  private let note: (String) -> Void
  private let ready: () -> Void
  private let files: FileTable
  private let pipes: PipeTable
  private var socket: WaylandSocket?
  private(set) var isOver = false
  /// Whose turn it is when both the compositor and a pipe have something.
  private var isPipesTurn = false

  init(
    access: ContextAccess, loop: EventLoop, allocate: @escaping (Int) throws(GPUError) -> HostMemory,
    note: @escaping (String) -> Void, ready: @escaping () -> Void
  ) {
    self.access = access
    self.note = note
    self.ready = ready
    files = FileTable(allocate: allocate)
    pipes = PipeTable(loop: loop, ledger: access.ledger, ready: ready)
  }

  /// Connects; where there is no compositor, the channel is over at once, which its program is told.
  func start(_ loop: EventLoop, _ connect: () throws(SystemError) -> FileDescriptor) {
    do throws(SystemError) {
      let socket = WaylandSocket(SharedDescriptor(try connect()), loop: loop, ledger: access.ledger, ready: ready)
      socket.failed = { [weak self] in
        self?.end($0)
        self?.ready()
      }
      self.socket = socket
    } catch {
      note("no channel to the Wayland compositor: \(error)")
      isOver = true
    }
  }

  // MARK: From the program

  func send(_ transmission: Transmission) throws(GPUError) {
    guard let socket else { return }
    guard !transmission.data.isEmpty else { throw .contextCommand("nothing to send") }
    var pipes = PipeTable.Batch(self.pipes)
    var descriptors: [SharedDescriptor] = []
    for identifier in transmission.identifiers {
      switch identifier.kind {
      case .blob: descriptors.append(try memory(ResourceID(rawValue: identifier.number)))
      case .readPipe: descriptors.append(try pipes.open(identifier.number))
      case .sync, .writePipe: throw .contextCommand("an identifier that nobody can be given")
      }
    }
    pipes.finish()
    socket.send(transmission.data, descriptors)
  }

  /// The memory of a resource, for the compositor: only what this process allocated for the guest.
  private func memory(_ resource: ResourceID) throws(GPUError) -> SharedDescriptor {
    guard let memory = access.hostMemory(of: resource), memory.isOwn else { throw .notMappable(resource) }
    memory.losesPagesAtEnd = true
    do throws(SystemError) {
      return try memory.guestDescriptor()
    } catch {
      throw .hostMemory(code: error.code)
    }
  }

  func write(_ data: PipeData) throws(GPUError) {
    guard !isOver else { return }
    if let trouble = try pipes.write(data) { note("a pipe of the Wayland channel was cut: \(trouble)") }
  }

  // MARK: To the program

  func next() -> CrossDomainCommand? {
    isPipesTurn.toggle()
    if let entry = isPipesTurn ? read() ?? receive() : receive() ?? read() { return entry }
    return isOver ? .receive(Transmission([])) : nil
  }

  private func read() -> CrossDomainCommand? { pipes.next().map { .read($0) } }

  private func receive() -> CrossDomainCommand? {
    switch socket?.receive() {
    case .data(let data, let descriptors): return receive(data, descriptors)
    case .end(let reason):
      end(reason)
      return nil
    case nil: return nil
    }
  }

  private func receive(_ data: [UInt8], _ descriptors: [SharedDescriptor]) -> CrossDomainCommand? {
    do throws(GPUError) {
      var identifiers: [Transmission.Identifier] = []
      for descriptor in descriptors { identifiers.append(try identifier(of: descriptor)) }
      return .receive(Transmission(data, identifiers: identifiers))
    } catch {
      end("what the compositor sent cannot be handed on: \(error)")
      return nil
    }
  }

  private func identifier(of descriptor: SharedDescriptor) throws(GPUError) -> Transmission.Identifier {
    if AnonymousPipe.canWrite(descriptor.raw) { return try pipes.add(descriptor) }
    guard SharedMemory.isMemoryFile(descriptor.raw) else {
      throw .contextCommand("a descriptor that is neither a file nor a pipe's end")
    }
    return try files.add(descriptor)
  }

  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory {
    try files.take(number, byteCount: byteCount)
  }

  // MARK: Ending

  /// The program has gone.
  func close() {
    isOver = true
    socket?.close()
    socket = nil
    pipes.removeAll()
    files.removeAll()
  }

  private func end(_ reason: String) {
    note("channel to the Wayland compositor ended: \(reason)")
    isOver = true
    socket?.close()
    socket = nil
    pipes.removeAll()
  }
}
