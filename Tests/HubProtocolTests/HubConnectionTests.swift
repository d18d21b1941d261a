import Buffers
import Glibc
import Platform
import Testing

@testable import HubProtocol

/// Notes what a connection tells.
private final class Recorder: HubConnectionHandler {
  var messages: [(message: Message, serial: UInt64)] = []
  var files: [SharedDescriptor?] = []
  var ends: [HubConnection.End] = []
  var rooms = 0

  func connection(
    _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) {
    messages.append((message, serial))
    if let descriptor { files.append(SharedDescriptor(descriptor)) } else { files.append(nil) }
  }

  func connectionHasRoom(_ connection: HubConnection) { rooms += 1 }
  func connection(_ connection: HubConnection, ended reason: HubConnection.End) { ends.append(reason) }
}

@Suite struct HubConnectionTests {
  private struct World {
    let loop: EventLoop
    let near: HubConnection, far: HubConnection
    let nearSide = Recorder(), farSide = Recorder()

    init() throws {
      loop = try EventLoop()
      let (first, second) = try UnixSocket.pair(.sequencedPacket).take()
      near = try HubConnection(FileDescriptor(adopting: first), loop: loop)
      far = try HubConnection(FileDescriptor(adopting: second), loop: loop)
      near.handler = nearSide
      far.handler = farSide
    }

    func turn(_ count: Int = 4) throws {
      for _ in 0..<count { try loop.runOnce(timeout: .zero) }
    }
  }

  private static let flush = Message.flush(ScanoutIndex(0), damage: MessageSamples.rectangle)

  @Test func `messages sent before transmit arrive together and in order`() throws {
    let world = try World()
    for serial in 1...50 as ClosedRange<UInt64> { #expect(world.near.send(Self.flush, serial: serial)) }
    try world.turn()
    #expect(world.farSide.messages.isEmpty)
    world.near.transmit()
    try world.turn(1)
    #expect(world.farSide.messages.map(\.serial) == Array(1...50))
  }

  @Test func `descriptors stay with their messages, more than a packet takes too`() throws {
    let world = try World()
    let files = try (1...40).map { SharedDescriptor(try SharedMemory.create(name: "test", count: $0 * 4096)) }
    for (index, file) in files.enumerated() {
      #expect(
        world.near.send(
          .bufferRegister(MessageSamples.buffer, MessageSamples.memory), serial: UInt64(index), descriptor: file))
      #expect(world.near.send(.layersSettled))
    }
    world.near.transmit()
    try world.turn()
    let arrived = world.farSide.files.compactMap { $0 }
    #expect(try arrived.map { try SharedMemory.size(of: $0.raw) } == (1...40).map { UInt64($0 * 4096) })
    #expect(world.farSide.files.count == 80)
    #expect(world.farSide.files.enumerated().allSatisfy { ($0.offset % 2 == 0) == ($0.element != nil) })
  }

  @Test func `a peer that does not read makes send say no, and says when there is room`() throws {
    let world = try World()
    world.far.pauseReading(true)
    var taken: UInt64 = 0
    while world.near.send(Self.flush, serial: taken + 1) {
      taken += 1
      world.near.transmit()
      try #require(taken < 1_000_000)
    }
    #expect(world.near.hasUnsent)
    world.far.pauseReading(false)
    while world.farSide.messages.count < Int(taken) { try world.turn(1) }
    #expect(world.nearSide.rooms > 0)
    #expect(world.farSide.messages.map(\.serial) == Array(1...taken))
    #expect(world.near.send(Self.flush))
  }

  @Test func `the end of a peer is told once, after what it sent before`() throws {
    let world = try World()
    world.near.send(Self.flush, serial: 7)
    world.near.close()
    try world.turn()
    #expect(world.farSide.messages.map(\.serial) == [7])
    #expect(world.farSide.ends == [.closed])
    #expect(world.nearSide.ends.isEmpty)
    #expect(!world.far.send(Self.flush))
  }

  @Test func `sending to a peer that has gone ends the connection`() throws {
    let world = try World()
    world.far.close()
    world.near.send(Self.flush)
    world.near.transmit()
    try world.turn()
    #expect(world.nearSide.ends == [.closed])
  }

  @Test func `the last words of a peer that closed without reading are read, also after a failed send`() throws {
    let world = try World()
    world.near.send(Self.flush)
    world.near.transmit()
    world.far.send(Self.flush, serial: 9)
    world.far.close()
    world.near.send(Self.flush)
    world.near.transmit()
    try world.turn()
    #expect(world.nearSide.messages.map(\.serial) == [9])
    #expect(world.nearSide.ends == [.closed])
  }

  @Test func `bytes that are no message end the connection after one last answer`() throws {
    let loop = try EventLoop()
    let (first, second) = try UnixSocket.pair(.sequencedPacket).take()
    let peer = FileDescriptor(adopting: first)
    let connection = try HubConnection(FileDescriptor(adopting: second), loop: loop)
    let recorder = Recorder()
    connection.handler = recorder
    _ = try [UInt8](repeating: 0xa5, count: 100).withUnsafeBytes { try UnixSocket.send(peer.raw, $0) }
    try loop.runOnce(timeout: .zero)
    #expect(recorder.ends == [.malformed(.badLength(0xa5a5_a5a5))])
    #expect(connection.isClosed)
  }

  @Test func `a packet above the limit, or with 17 descriptors, ends the connection and leaks nothing`() throws {
    for (count, descriptors) in [(70_000, 0), (16, 17)] {
      let loop = try EventLoop()
      let (first, second) = try UnixSocket.pair(.sequencedPacket).take()
      let peer = FileDescriptor(adopting: first)
      let connection = try HubConnection(FileDescriptor(adopting: second), loop: loop)
      let recorder = Recorder()
      connection.handler = recorder
      let pipe = try Pipe()
      _ = try [UInt8](repeating: 0, count: count).withUnsafeBytes {
        try UnixSocket.send(peer.raw, $0, descriptors: [Int32](repeating: pipe.writer.raw, count: descriptors))
      }
      let reader = pipe.keepReader()
      try loop.runOnce(timeout: .zero)
      #expect(recorder.ends == [.malformed(.packetTooLarge)])
      #expect(reader.isAtEnd)
    }
  }

  @Test func `a peer that hung up is known before its messages are read`() throws {
    let world = try World()
    #expect(!world.near.isHungUp)
    world.far.send(Self.flush)
    world.far.close()
    #expect(world.near.isHungUp)
  }
}

/// A pipe that tells whether every copy of its writing end is closed.
private struct Pipe: ~Copyable {
  let writer: FileDescriptor
  private let reader: FileDescriptor

  init() throws {
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    reader = FileDescriptor(adopting: ends[0])
    writer = FileDescriptor(adopting: ends[1])
  }

  /// Closes the writing end that is here.
  consuming func keepReader() -> Reader { Reader(descriptor: SharedDescriptor(reader)) }

  struct Reader {
    let descriptor: SharedDescriptor
    var isAtEnd: Bool {
      var entry = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
      return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLHUP) != 0
    }
  }
}
