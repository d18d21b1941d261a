import Buffers
import Glibc
import HubProtocol
import LifeSupport
import Platform
import Testing

/// How often something is done that must cost nothing: MUNTIN_ROUNDS in the environment, 20,000 unless set.
private let rounds = getenv("MUNTIN_ROUNDS").flatMap { Int(String(cString: $0)) } ?? 20_000

/// What begins and ends a million times leaves nothing in the hub's process: no descriptor, no mapping, no memory.
@Suite(.serialized) struct EnduranceTests {
  private struct Holdings: CustomStringConvertible {
    let descriptors: Int, mappings: Int, memory: Int

    init(_ pid: Int32) {
      descriptors = Kernel.descriptors(of: pid)
      mappings = Kernel.text("/proc/\(pid)/maps").split(separator: "\n").count
      // Without pages of files: those of the program come and go.
      let words = Kernel.text("/proc/\(pid)/statm").split(separator: " ").prefix(3).map { Int($0) ?? 0 }
      memory = words.count == 3 ? (words[1] - words[2]) * 4096 : 0
    }

    var description: String { "\(descriptors) descriptors, \(mappings) mappings, \(memory >> 10) KiB" }
  }

  /// Does something in groups of eight, and looks at the hub before and after.
  private func expectNoGrowth(_ machine: Machine, _ what: String, _ eight: () throws -> Void) throws {
    for _ in 0..<min(rounds, 16_000) / 8 { try eight() }
    let before = Holdings(machine.hub.pid)
    for _ in 0..<rounds / 8 { try eight() }
    let after = Holdings(machine.hub.pid)
    print("\(what) \(rounds) times: \(before); then \(after)")
    #expect(after.descriptors == before.descriptors && after.mappings <= before.mappings + 1)
    #expect(before.memory > 0 && after.memory <= before.memory + 1 << 20)
  }

  private let picture: HostBuffer
  private let descriptor: SharedDescriptor

  init() throws {
    let layout = try #require(PixelLayout(size: Size(width: 64, height: 32), format: .xrgb8888))
    picture = try HostBuffer(layout: layout)
    descriptor = SharedDescriptor(try picture.readOnlyDescriptor())
  }

  private func offer(_ id: BufferID) -> Message {
    let memory = MemoryDescription(hostFileOf: picture.layout, reason: .hostAllocated)
    let buffer = BufferDescription(id: id, layout: picture.layout)
    return .application(.offer(BufferOffer(buffer: buffer, memory: memory)))
  }

  @Test(arguments: [false, true]) func `acquiring and releasing one buffer`(isTold: Bool) throws {
    let machine = try Machine(hasDisplay: false)
    let owner = try BarePeer(machine.hubSocket, .application, "camera")
    try owner.send([(offer(picture.id), 1)], [descriptor.raw])
    try owner.receive(byteCount: 24)
    let to = Party(.application, PeerName("reader")!)
    _ = try machine.control().grant(
      GrantRequest(owner: Party(.application, PeerName("camera")!), to: to, object: .id(picture.id)))
    let reader = try BarePeer(machine.hubSocket, .application, "reader")
    let acquire = Message.application(.acquire(Acquisition(.id(picture.id), wantsUpdates: isTold)))
    let release = Message.application(.release(picture.id))
    let packet = (0..<8).flatMap { _ -> [(Message, UInt64)] in [(acquire, 5), (release, 0)] }
    try expectNoGrowth(machine, "acquired\(isTold ? " with updates" : "")") {
      try reader.send(packet, [])
      try reader.receive(descriptorCount: 8)
      try owner.drain()
    }
    #expect(machine.buffers.first?.leases == 0)
  }

  @Test func `registering a buffer and taking it back until it is freed`() throws {
    let machine = try Machine(hasDisplay: false)
    let producer = try BarePeer(machine.hubSocket, .producer, "beta")
    let memory = MemoryDescription(hostFileOf: picture.layout)
    try expectNoGrowth(machine, "registered") {
      let messages = (0..<8).flatMap { _ -> [(Message, UInt64)] in
        let id = BufferID.random()
        let buffer = BufferDescription(id: id, layout: picture.layout)
        return [(.bufferRegister(buffer, memory), 0), (.bufferUnregister(id), 0)]
      }
      try producer.send(messages, [Int32](repeating: descriptor.raw, count: 8))
      try producer.receive(byteCount: 8 * 32)
    }
    #expect(machine.buffers.isEmpty)
  }

  @Test func `offering a buffer and withdrawing it until it is freed`() throws {
    let machine = try Machine(hasDisplay: false)
    let owner = try BarePeer(machine.hubSocket, .application, "camera")
    try expectNoGrowth(machine, "offered") {
      let messages = (0..<8).flatMap { _ -> [(Message, UInt64)] in
        let id = BufferID.random()
        return [(offer(id), 1), (.application(.withdraw(id)), 2)]
      }
      try owner.send(messages, [Int32](repeating: descriptor.raw, count: 8))
      try owner.receive(byteCount: 8 * (24 + 24 + 32))
    }
    #expect(machine.buffers.isEmpty)
  }
}

/// A connection to the hub that counts what it is told, and keeps nothing of it.
private final class BarePeer {
  private let socket: SharedDescriptor
  private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 8)

  init(_ path: String, _ role: Role, _ name: String) throws {
    socket = SharedDescriptor(try UnixSocket.connect(path: path, kind: .sequencedPacket))
    try UnixSocket.setNonBlocking(socket.raw, true)
    try send([(.hello(Hello(role: role, name: PeerName(name)!)), 0)], [])
    try receive(byteCount: 48)
  }

  deinit { room.deallocate() }

  func send(_ messages: [(Message, UInt64)], _ descriptors: [Int32]) throws {
    var offset = 0
    for (message, serial) in messages {
      let rest = UnsafeMutableRawBufferPointer(rebasing: room[offset...])
      let isWithOne = message.carriesDescriptor
      offset += message.encode(serial: serial, carriesDescriptor: isWithOne, into: rest) ?? 0
    }
    let packet = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<offset])
    while try UnixSocket.send(socket.raw, packet, descriptors: descriptors) == nil { try wait(POLLOUT) }
  }

  private func wait(_ events: Int32) throws {
    var entry = pollfd(fd: socket.raw, events: Int16(events), revents: 0)
    try #require(poll(&entry, 1, 20_000) == 1, "the hub does not answer")
  }

  /// Waits until so much has come, and no more.
  func receive(byteCount: Int = 0, descriptorCount: Int = 0) throws {
    var (bytes, descriptors) = (0, 0)
    while bytes < byteCount || descriptors < descriptorCount {
      try wait(POLLIN)
      let news = try receiveOne()
      bytes += news.bytes
      descriptors += news.descriptors
    }
    #expect(byteCount == 0 || bytes == byteCount)
    #expect(descriptors == descriptorCount)
  }

  /// Takes in what has come.
  func drain() throws {
    while try receiveOne().bytes > 0 {}
  }

  private func receiveOne() throws -> (bytes: Int, descriptors: Int) {
    var raws: [Int32] = []
    let result = try UnixSocket.receive(socket.raw, into: room, descriptors: &raws)
    raws.forEach { _ = close($0) }
    switch result {
    case .bytes(let count, _): return (count, raws.count)
    case .wouldBlock: return (0, 0)
    case .closed:
      try #require(Bool(false), "the hub has ended the connection")
      return (0, 0)
    }
  }
}

extension Message {
  fileprivate var carriesDescriptor: Bool {
    switch self {
    case .bufferRegister, .application(.offer): true
    default: false
    }
  }
}
