import Buffers
import CrossDomain
import GPUDevice
import Glibc
import GuestChannel
import Platform
import Testing
import Virtqueue

@Suite("Hostile ends of Wayland channels") struct HostileWaylandTests {
  let loop: EventLoop
  let compositor = ScriptedCompositor()
  let guest: ChannelGuest
  let program: ChannelEnd
  private let ringsBookkeeping: Int

  init() throws {
    loop = try EventLoop()
    guest = try ChannelGuest(try compositor.options("a"), loop: loop)
    program = try ChannelEnd(guest, context: 1, to: .wayland)
    ringsBookkeeping = guest.device.ledger.totals.bookkeeping
  }

  /// What is charged for bytes that nobody has taken.
  private var waitingBytes: Int { guest.device.ledger.totals.bookkeeping - ringsBookkeeping }

  private func send(_ bytes: [UInt8], _ identifiers: [Transmission.Identifier] = []) throws -> ResponseCode? {
    try program.submit(.send(Transmission(bytes, identifiers: identifiers)))
  }

  private func pipe(_ number: UInt32) -> Transmission.Identifier {
    Transmission.Identifier(number: number, kind: .readPipe)
  }

  /// Reads until the channel's end is told.
  private func expectEnd() throws {
    for _ in 0..<100 where try program.next() == .receive(Transmission([])) { return }
    Issue.record("the channel goes on")
  }

  @Test("resources of others, of the guest's pages or of nobody are not handed on, and nothing of the SEND is done")
  func resources() throws {
    let second = try ChannelEnd(guest, context: 2, to: .wayland)
    #expect(try guest.hostBlob(7, 0x8000_0001, 4096, context: 2) == .okNoData)
    for number: UInt32 in [0, 7, 100, 101, 55, .max] {
      let blob = Transmission.Identifier(number: number, kind: .blob)
      #expect(try send([1], [pipe(0x8000_0001), blob]) == .invalidParameter)
    }
    let before = openDescriptors()
    for kind: Transmission.Identifier.Kind in [.sync, .writePipe] {
      let identifier = Transmission.Identifier(number: 7, kind: kind)
      #expect(try send([1], [pipe(0x8000_0001), identifier]) == .invalidParameter)
    }
    #expect(try send([], [pipe(0x8000_0001)]) == .invalidParameter)
    #expect(openDescriptors() == before)
    #expect(try compositor.hear() == nil)
    #expect(try send([1], [pipe(0x8000_0001)]) == .okNoData, "the number is still free")
    _ = second
  }

  @Test("pipes have limits, and numbers that are in use or not the program's to choose are refused")
  func pipes() throws {
    for number: UInt32 in [0, 1, 0x7fff_ffff] { #expect(try send([1], [pipe(number)]) == .invalidParameter) }
    #expect(try send([1], [pipe(0x8000_0000), pipe(0x8000_0000)]) == .invalidParameter)
    for number: UInt32 in 0..<64 { #expect(try send([1], [pipe(.max - number)]) == .okNoData) }
    #expect(try send([1], [pipe(0x8000_0005)]) == .invalidParameter)
    #expect(guest.device.ledger.totals.descriptors == 64)
    for number: UInt32 in [0, 1, 0x8000_0000, .max] {
      let data = PipeData(pipe: number, isHangUp: true, data: [1])
      #expect(try program.submit(.write(data)) == .invalidParameter, "not one to write into")
    }
    #expect(try guest.run(.contextDestroy, context: 1) == .okNoData)
    #expect(guest.device.ledger.totals.descriptors == 0)
  }

  @Test("a compositor that takes nothing costs a bounded amount, the VM's, and then its channel")
  func deafCompositor() throws {
    let piece = [UInt8](repeating: 1, count: 60_000)
    var most = 0
    for _ in 0..<40 {
      #expect(try send(piece) == .okNoData)
      most = max(most, waitingBytes)
    }
    #expect(most > 900_000 && most <= 1 << 20)
    try expectEnd()
    #expect(waitingBytes == 0)
    #expect(compositor.clients.count == 1)
    _ = try ChannelEnd(guest, context: 2, to: .wayland)
  }

  @Test("descriptors that a compositor does not take have a limit, too")
  func deafToDescriptors() throws {
    #expect(try guest.hostBlob(7, 0x8000_0001, 4096, context: 1) == .okNoData)
    while waitingBytes == 0 { _ = try send([UInt8](repeating: 1, count: 60_000)) }
    let blobs = [Transmission.Identifier](repeating: .init(number: 7, kind: .blob), count: 28)
    let before = guest.device.ledger.totals.descriptors
    for _ in 0..<9 { #expect(try send([1], blobs) == .okNoData) }
    #expect(guest.device.ledger.totals.descriptors == before + 252)
    #expect(try send([1], blobs) == .okNoData)
    try expectEnd()
    #expect(guest.device.ledger.totals.descriptors < before + 28)
  }

  @Test("what a slow compositor did not take at once reaches it in order, with its descriptors")
  func slowCompositor() throws {
    #expect(try guest.hostBlob(7, 0x8000_0001, 4096, context: 1) == .okNoData)
    let pieces = (0..<15).map { [UInt8](repeating: UInt8($0), count: 60_000) }
    for piece in pieces { #expect(try send(piece, [.init(number: 7, kind: .blob)]) == .okNoData) }
    var heard: [UInt8] = []
    var descriptors = 0
    try guest.wait {
      while let more = try compositor.hear() {
        heard += more.bytes
        descriptors += more.descriptors.count
      }
      return heard.count == 900_000
    }
    #expect(heard == pieces.flatMap(\.self) && descriptors == 15)
    #expect(waitingBytes == 0)
  }

  @Test("a pipe that is never read loses what was written, and the channel goes on")
  func deafReader() throws {
    let (reading, writing) = try AnonymousPipe.make()
    try compositor.say([1], [writing.raw])
    guard case .receive(let heard) = try program.next() else { throw GuestProgram.Failure.noWelcome }
    let number = try #require(heard.identifiers.first).number
    var most = 0
    for _ in 0..<100 {
      let data = PipeData(pipe: number, isHangUp: false, data: [UInt8](repeating: 1, count: 60_000))
      #expect(try program.submit(.write(data)) == .okNoData)
      most = max(most, waitingBytes)
    }
    #expect(most > 4_000_000 && most <= 4 << 20)
    #expect(waitingBytes == 0)
    #expect(try program.submit(.write(PipeData(pipe: number, isHangUp: true, data: []))) == .okNoData)
    #expect(try send([7]) == .okNoData)
    #expect(try compositor.hear()?.bytes == [7])
    _ = reading
  }

  @Test("a pipe whose reader has gone is as if it were read")
  func goneReader() throws {
    var ends: (reading: SharedDescriptor, writing: SharedDescriptor)? = try AnonymousPipe.make()
    try compositor.say([1], [try #require(ends).writing.raw])
    ends = nil
    guard case .receive(let heard) = try program.next() else { throw GuestProgram.Failure.noWelcome }
    let number = try #require(heard.identifiers.first).number
    for isLast in [false, false, true] {
      #expect(try program.submit(.write(PipeData(pipe: number, isHangUp: isLast, data: [1]))) == .okNoData)
    }
    #expect(try program.submit(.write(PipeData(pipe: number, isHangUp: true, data: []))) == .invalidParameter)
  }

  @Test("descriptors of other kinds, empty, large and many files end the channel and stay nowhere")
  func strangeDescriptors() throws {
    let before = openDescriptors()
    let (near, far) = try UnixSocket.pair(.stream).take()
    let null = open("/dev/null", O_RDWR)
    let files = try [0, 17 << 20].map { try SharedMemory.create(name: "x", count: $0).release() }
    let (reading, writing) = try AnonymousPipe.make()
    let small = try SharedMemory.create(name: "x", count: 1)
    for strange in [[near], [null], [small.raw, files[0]], [writing.raw, files[1]], [reading.raw]] {
      let mine = openDescriptors()
      let victim = try ChannelEnd(guest, context: 2, to: .wayland)
      try compositor.say([1], strange, to: 1)
      #expect(try victim.next() == .receive(Transmission([])))
      #expect(try guest.run(.contextDestroy, context: 2) == .okNoData)
      compositor.removeLast()
      for id: UInt32 in [200, 201] { #expect(try guest.run(.resourceUnref(ResourceID(rawValue: id))) == .okNoData) }
      #expect(openDescriptors() == mine && guest.device.ledger.totals.hostAllocated == 0)
    }
    closeAll([near, far, null] + files)
    #expect(openDescriptors() == before + 3)
  }

  @Test("more descriptors at once than a message has end the channel")
  func manyDescriptors() throws {
    let (_, writing) = try AnonymousPipe.make()
    let before = openDescriptors()
    try compositor.say([1], [Int32](repeating: writing.raw, count: 29))
    try expectEnd()
    #expect(openDescriptors() == before - 1, "only the connection's own is gone")
  }

  @Test("files that the program does not take have a limit, and the VM pays for them")
  func files() throws {
    let file = try SharedMemory.create(name: "x", count: 1)
    for count in 1...64 {
      try compositor.say([1], [file.raw])
      guard case .receive(let heard) = try program.next() else { throw GuestProgram.Failure.noWelcome }
      #expect(heard.identifiers.count == 1 && guest.device.ledger.totals.hostAllocated == count * 4096)
    }
    try compositor.say([1], [file.raw])
    try expectEnd()
    #expect(try guest.run(.contextDestroy, context: 1) == .okNoData)
    #expect(guest.device.ledger.totals.hostAllocated == 0)
  }

  @Test("a VM that may have no more memory loses the channel by which more came, nothing else")
  func poor() throws {
    let poor = try ChannelGuest(try compositor.options("b"), loop: loop, limits: .usualLimits(hostAllocated: 4096))
    let victim = try ChannelEnd(poor, context: 1, to: .wayland)
    let file = try SharedMemory.create(name: "x", count: 4097)
    try compositor.say([1], [file.raw], to: 1)
    #expect(try victim.next() == .receive(Transmission([])))
    #expect(try send([1]) == .okNoData)
    #expect(try compositor.hear()?.bytes == [1])
  }

  @Test("a ring that is taken away ends the channel when the compositor speaks, and no other")
  func ringTaken() throws {
    let victim = try ChannelEnd(guest, context: 2, to: .wayland)
    #expect(try guest.run(.contextDetachResource(ResourceID(rawValue: 201)), context: 2) == .okNoData)
    try compositor.say([UInt8](repeating: 1, count: 100), to: 1)
    _ = try? victim.next()
    try guest.wait { compositor.hasLeft(1) }
    #expect(try send([1]) == .okNoData)
    #expect(try compositor.hear()?.bytes == [1])
  }
}
