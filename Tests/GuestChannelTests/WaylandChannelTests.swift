import Buffers
import CrossDomain
import GPUDevice
import Glibc
import GuestChannel
import Platform
import Testing
import Virtqueue

@Suite("Channels to a Wayland compositor") struct WaylandChannelTests {
  let loop: EventLoop
  let compositor = ScriptedCompositor()
  let guest: ChannelGuest
  let program: ChannelEnd
  static let bytesOfAnyUse: UInt32 = 0x2020_3852

  init() throws {
    loop = try EventLoop()
    guest = try ChannelGuest(try compositor.options("a"), loop: loop)
    program = try ChannelEnd(guest, context: 1, to: .wayland)
  }

  func send(_ bytes: [UInt8], _ identifiers: [Transmission.Identifier] = []) throws -> ResponseCode? {
    try program.submit(.send(Transmission(bytes, identifiers: identifiers)))
  }

  func receive() throws -> Transmission {
    guard case .receive(let transmission) = try program.next() else {
      throw GuestProgram.Failure.noWelcome
    }
    return transmission
  }

  @Test("a card says which types of channel it has, and opens no others")
  func capabilities() throws {
    var both = try compositor.options("a")
    both.connectToHub = { () throws(SystemError) in throw SystemError(call: "connect", code: ECONNREFUSED) }
    var hub = both
    hub.connectToWayland = nil
    for (options, wayland, toHub) in [
      (try compositor.options("a"), true, false), (both, true, true), (hub, false, true),
    ] {
      let other = try ChannelGuest(options, loop: loop)
      let capset = try #require(other.contexts.capsetBytes.withUnsafeBytes { CrossDomainCapabilities(decoding: $0) })
      #expect(capset.offers(.wayland) == wayland && capset.offers(.hub) == toHub)
      #expect(try other.run(.contextCreate(nameLength: 0, kind: CrossDomain.capset), context: 1) == .okNoData)
      _ = try other.ring(1, context: 1)
      for (type, isThere) in [(ChannelType.wayland, wayland), (.hub, toHub)] where !isThere {
        let bytes = try #require(CrossDomainCommand.initialize(queryRing: 1, channelRing: 1, type).encoded)
        let submit = Command.submit3D(byteCount: UInt32(bytes.count), fenceCount: 0)
        #expect(try other.run(submit, tail: bytes, context: 1) == .invalidParameter)
      }
    }
  }

  @Test("bytes go both ways as they are, what is long in pieces that fit into a page")
  func bytes() throws {
    #expect(try send([1, 2, 3]) == .okNoData)
    #expect(try send([4]) == .okNoData)
    #expect(try compositor.hear()?.bytes == [1, 2, 3, 4])
    let long = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
    try compositor.say(long)
    var heard: [UInt8] = []
    while heard.count < long.count {
      let piece = try receive().data
      #expect(piece.count <= 4096 - 352)
      heard += piece
    }
    #expect(heard == long)
    #expect(try program.nextIfAny() == nil)
  }

  @Test("what a program draws into memory that it was told to make is what the compositor maps")
  func pictures() throws {
    let wanted = try program.ask(ImageQuery(width: 10_000, height: 1, format: Self.bytesOfAnyUse))
    #expect(wanted.byteCount == 12_288 && wanted.stride == 10_000)
    for id: UInt32 in 7...8 {
      #expect(try guest.hostBlob(id, UInt64(wanted.blob), wanted.byteCount, context: 1) == .okNoData)
    }
    let bytes = try guest.map(7, at: 0)
    bytes.initializeMemory(as: UInt8.self, repeating: 0x5a)
    let identifiers = [8, 7].map { Transmission.Identifier(number: $0, kind: .blob) }
    #expect(try send([9], identifiers) == .okNoData)
    let heard = try #require(try compositor.hear())
    #expect(heard.bytes == [9] && heard.descriptors.count == 2)
    let pool = try MemoryMapping(descriptor: heard.descriptors[1].raw, count: 12_288, access: .readWrite)
    withExtendedLifetime(pool) {
      #expect(pool.bytes.allSatisfy { $0 == 0x5a })
      bytes[3] = 1
      #expect(pool.bytes[3] == 1)
    }
  }

  @Test("when the program lets go of memory, a compositor that keeps it has zeros, and the VM pays no more")
  func afterwards() throws {
    #expect(try guest.hostBlob(7, 0x8000_0001, 4096, context: 1) == .okNoData)
    try guest.map(7, at: 0).initializeMemory(as: UInt8.self, repeating: 7)
    #expect(try send([1], [Transmission.Identifier(number: 7, kind: .blob)]) == .okNoData)
    let file = try #require(try compositor.hear()?.descriptors.first)
    let pool = try MemoryMapping(descriptor: file.raw, count: 4096, access: .readWrite)
    #expect(withExtendedLifetime(pool) { pool.bytes[0] } == 7 && guest.device.ledger.totals.hostAllocated == 4096)
    #expect(try guest.run(.resourceUnmapBlob(ResourceID(rawValue: 7))) == .okNoData)
    #expect(try guest.run(.resourceUnref(ResourceID(rawValue: 7))) == .okNoData)
    try guest.wait { guest.device.ledger.totals.hostAllocated == 0 }
    withExtendedLifetime(pool) { #expect(pool.bytes.allSatisfy { $0 == 0 }) }
  }

  @Test("a file of the compositor's, read-only and of any length, is memory that the program can map, once")
  func keymap() throws {
    let file = try SharedMemoryFile(name: "keymap", count: 5000)
    let text = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let mapping = try MemoryMapping(descriptor: file.writable.raw, count: 5000, access: .readWrite)
    withExtendedLifetime(mapping) { mapping.mutableBytes.copyBytes(from: text) }
    let readOnly = SharedDescriptor(try file.readOnly())
    try withExtendedLifetime(readOnly) { try compositor.say([5], [readOnly.raw]) }
    let heard = try receive()
    let keymap = try #require(heard.identifiers.first)
    #expect(heard.data == [5] && keymap.kind == .blob && keymap.byteCount == 8192)
    #expect(try guest.hostBlob(7, UInt64(keymap.number), 4096, context: 1) == .invalidParameter)
    #expect(try guest.hostBlob(7, UInt64(keymap.number), 8192, context: 1) == .okNoData)
    #expect(try guest.hostBlob(8, UInt64(keymap.number), 8192, context: 1) == .invalidParameter)
    #expect(Array(try guest.map(7, at: 0)[..<5000]) == text)
    #expect(guest.device.ledger.totals.hostAllocated == 8192)
  }

  @Test("what is written into a pipe of the program's comes as READs, and its end too")
  func paste() throws {
    let identifier = Transmission.Identifier(number: 0x8000_0001, kind: .readPipe)
    #expect(try send([1], [identifier]) == .okNoData)
    var end = try #require(try compositor.hear()?.descriptors)
    let text = (0..<9000).map { UInt8(truncatingIfNeeded: $0 &* 3) }
    #expect(text.withUnsafeBytes { write(end[0].raw, $0.baseAddress, $0.count) } == 9000)
    end.removeAll()
    var pasted: [UInt8] = []
    while true {
      guard case .read(let piece) = try program.next() else { throw GuestProgram.Failure.noWelcome }
      #expect(piece.pipe == identifier.number && piece.data.count <= 4096 - 24)
      pasted += piece.data
      if piece.isHangUp { break }
    }
    #expect(pasted == text)
    #expect(try send([1], [identifier]) == .okNoData, "its number is free again")
  }

  @Test("what the program writes into a pipe of the compositor's comes out of it, and its end too")
  func copy() throws {
    var (reading, writing): (SharedDescriptor, SharedDescriptor?) = try AnonymousPipe.make()
    try compositor.say([1], [try #require(writing).raw])
    writing = nil
    let pipe = try #require(try receive().identifiers.first)
    #expect(pipe.kind == .writePipe)
    let text = [UInt8](repeating: 3, count: 60_000)
    for isLast in [false, false, true] {
      let data = PipeData(pipe: pipe.number, isHangUp: isLast, data: text)
      #expect(try program.submit(.write(data)) == .okNoData)
    }
    var room = [UInt8](repeating: 0, count: 65_536)
    var copied = 0
    while true {
      let count = read(reading.raw, &room, room.count)
      guard count > 0 else { break }
      copied += count
      try guest.turn()
    }
    #expect(copied == 180_000)
    let late = PipeData(pipe: pipe.number, isHangUp: false, data: [1])
    #expect(try program.submit(.write(late)) == .invalidParameter)
    reading = SharedDescriptor(FileDescriptor(adopting: -1))
  }

  @Test("a pipe that talks all the time does not silence the compositor, nor the reverse")
  func turns() throws {
    #expect(try send([1], [Transmission.Identifier(number: 0x8000_0009, kind: .readPipe)]) == .okNoData)
    let end = try #require(try compositor.hear()?.descriptors.first)
    let much = [UInt8](repeating: 1, count: 60_000)
    #expect(much.withUnsafeBytes { write(end.raw, $0.baseAddress, $0.count) } == 60_000)
    try compositor.say(much)
    var kinds: [Bool] = []
    for _ in 0..<20 {
      if case .read = try program.next() { kinds.append(true) } else { kinds.append(false) }
    }
    #expect(kinds.dropFirst(2).prefix(10).contains(true) && kinds.dropFirst(2).prefix(10).contains(false))
  }

  @Test("a compositor that goes ends its channels, which their programs are told whenever they ask; others' go on")
  func death() throws {
    let second = ScriptedCompositor()
    let other = try ChannelEnd(try ChannelGuest(try second.options("b"), loop: loop), context: 1, to: .wayland)
    try compositor.say([1, 2])
    compositor.crash()
    #expect(try receive() == Transmission([1, 2]))
    for _ in 0..<3 { #expect(try receive() == Transmission([])) }
    #expect(try send([1]) == .okNoData)
    #expect(try program.begin(.wayland) == .okNoData, "the program may begin anew")
    #expect(try send([4]) == .okNoData)
    #expect(try compositor.hear()?.bytes == [4])
    try second.say([3])
    #expect(try other.next() == .receive(Transmission([3])))
  }

  @Test("where no compositor listens, a channel is over at once")
  func nobody() throws {
    compositor.listens = false
    let late = try ChannelEnd(guest, context: 2, to: .wayland)
    #expect(try late.next() == .receive(Transmission([])))
  }

  @Test("a program that leaves, or whose card is reset, leaves the compositor, and nothing of it stays open")
  func leaving() throws {
    let before = openDescriptors()
    for isReset in [false, true] {
      let leaver = try ChannelEnd(guest, context: 2, to: .wayland)
      let pipe = Transmission.Identifier(number: 0x8000_0001, kind: .readPipe)
      #expect(try leaver.submit(.send(Transmission([1], identifiers: [pipe]))) == .okNoData)
      _ = try compositor.hear(1)
      if isReset { guest.device.reset() } else { _ = try guest.run(.contextDestroy, context: 2) }
      #expect(compositor.hasLeft(1))
      compositor.removeLast()
      if !isReset {
        for id: UInt32 in [200, 201] { #expect(try guest.run(.resourceUnref(ResourceID(rawValue: id))) == .okNoData) }
        #expect(openDescriptors() == before)
      }
    }
    #expect(guest.contexts.count == 0 && guest.device.ledger.totals == .nothing)
  }
}
