import Glibc
import TestSupport
import Testing

@testable import Platform

@Suite("doorbells that are pipes") struct PipeTests {
  @Test("ringing where nobody listens any more neither waits nor ends the process")
  func broken() throws {
    let bell = try Doorbell()
    let ringing = try FileDescriptor(duplicating: bell.ringing.raw)
    let other = try Doorbell()
    #expect(dup2(other.waiting.raw, bell.waiting.raw) >= 0)
    Doorbell.ring(ringing.raw)
    #expect(errno == EPIPE)
  }

  @Test("each end is one thing only")
  func ends() throws {
    let bell = try Doorbell()
    #expect(!Doorbell.canRing(bell.waiting.raw))
    #expect(!Doorbell.canWait(for: bell.ringing.raw))
  }

  @Test("what may never be empty, or block, cannot be waited for")
  func endless() throws {
    let random = FileDescriptor(adopting: open("/dev/urandom", O_RDONLY | O_CLOEXEC))
    let pair = try UnixSocket.pair(.stream)
    let file = try SharedMemory.create(name: "test", count: 4096)
    for raw in [random.raw, pair.first.raw, file.raw] { #expect(!Doorbell.canWait(for: raw)) }
  }

  @Test("a bell whose ringer has gone is told once at an edge, after its last ring")
  func ringerGone() throws {
    let loop = try EventLoop()
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    var seen: [EventLoop.Readiness] = []
    let token = try loop.watch(ends[0], for: [.readable, .edge]) { seen.append($0) }
    Doorbell.ring(ends[1])
    closeAll([ends[1]])
    for _ in 0..<3 { try loop.runOnce(timeout: .zero) }
    #expect(seen == [[.readable, .hangup]])
    loop.unwatch(token)
    closeAll([ends[0]])
  }
}

@Suite("memory whose size its owner can change") struct OwnersSizeTests {
  @Test("readers are told to guard")
  func safety() throws {
    let file = try SharedMemoryFile(name: "test", count: 8192)
    let readOnly = try file.readOnly()
    #expect(SharedMemory.readerSafety(of: readOnly.raw) == .mustGuard)
    #expect(ftruncate(file.writable.raw, 4096) == 0)
    #expect(try SharedMemory.size(of: readOnly.raw) == 4096)
  }

  @Test("a file that is taken away while it is read is an error")
  func shortRead() throws {
    let file = try SharedMemoryFile(name: "test", count: 4096)
    #expect(ftruncate(file.writable.raw, 100) == 0)
    var room = [UInt8](repeating: 1, count: 200)
    #expect(throws: SystemError(call: "read", code: EIO)) {
      try room.withUnsafeMutableBytes { try SharedMemory.read(file.writable.raw, into: $0) }
    }
  }

  @Test("a guarded reader survives the owner's change")
  func guarded() throws {
    let file = try SharedMemoryFile(name: "test", count: 8192)
    let readOnly = try file.readOnly()
    let mapping = try MemoryMapping(descriptor: readOnly.raw, count: 8192, access: .readOnly)
    let guardian = try FaultGuard(mapping)
    try put(5, into: file.writable.raw)
    #expect(mapping.bytes[0] == 5 && !guardian.hasFaulted)
    #expect(ftruncate(file.writable.raw, 0) == 0)
    #expect(mapping.bytes.allSatisfy { $0 == 0 })
    #expect(guardian.hasFaulted)
  }
}

@Suite("peers without a name") struct PeerTests {
  @Test("the system does not say who connected")
  func unknown() throws {
    let pair = try UnixSocket.pair(.sequencedPacket)
    #expect(try UnixSocket.peerCredentials(pair.first.raw) == nil)
  }

  @Test("descriptors that are made or received are closed at exec")
  func closeOnExec() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/socket"
    let listener = try UnixSocket.listen(path: path, kind: .stream)
    let client = try UnixSocket.connect(path: path, kind: .stream)
    guard let server = try UnixSocket.accept(listener.raw) else {
      Issue.record("nobody to accept")
      return
    }
    let pair = try UnixSocket.pair(.stream)
    let bell = try Doorbell()
    let file = try SharedMemoryFile(name: "test", count: 4096)
    let view = try file.readOnly()
    let all = [
      listener.raw, client.raw, server.raw, pair.first.raw, pair.second.raw, bell.waiting.raw, bell.ringing.raw,
      file.writable.raw, view.raw,
    ]
    for raw in all { #expect(fcntl(raw, F_GETFD) & FD_CLOEXEC != 0) }
  }
}
