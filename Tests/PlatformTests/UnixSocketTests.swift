import Glibc
import TestSupport
import Testing

@testable import Platform

@Suite struct UnixSocketTests {
  private func receive(_ raw: Int32, room: Int = 64, descriptors: inout [Int32]) throws -> UnixSocket.Received {
    var bytes = [UInt8](repeating: 0, count: room)
    return try bytes.withUnsafeMutableBytes { try UnixSocket.receive(raw, into: $0, descriptors: &descriptors) }
  }

  @Test func `a message brings its descriptors along`() throws {
    let pair = try UnixSocket.pair(.sequencedPacket)
    let file = try SharedMemory.create(name: "test", count: 4096)
    _ = try [UInt8](repeating: 7, count: 5).withUnsafeBytes {
      try UnixSocket.send(pair.first.raw, $0, descriptors: [file.raw, file.raw])
    }
    var received: [Int32] = []
    #expect(try receive(pair.second.raw, descriptors: &received) == .bytes(5, truncated: false))
    #expect(received.count == 2)
    #expect(try SharedMemory.size(of: received[0]) == 4096)
    #expect(fcntl(received[0], F_GETFD) & FD_CLOEXEC != 0)
    closeAll(received)
  }

  @Test func `an empty socket would block and a closed one says so`() throws {
    let (first, second) = try UnixSocket.pair(.sequencedPacket).take()
    var received: [Int32] = []
    #expect(try receive(first, descriptors: &received) == .wouldBlock)
    closeAll([second])
    #expect(try receive(first, descriptors: &received) == .closed)
    closeAll([first])
  }

  @Test func `a message larger than the room is marked`() throws {
    let pair = try UnixSocket.pair(.sequencedPacket)
    _ = try [UInt8](repeating: 7, count: 100).withUnsafeBytes { try UnixSocket.send(pair.first.raw, $0) }
    var received: [Int32] = []
    #expect(try receive(pair.second.raw, room: 10, descriptors: &received) == .bytes(10, truncated: true))
  }

  @Test func `a full socket gives nil instead of waiting`() throws {
    let pair = try UnixSocket.pair(.sequencedPacket)
    let bytes = [UInt8](repeating: 0, count: 1000)
    var full = false
    for _ in 0..<10_000 where !full {
      full = try bytes.withUnsafeBytes { try UnixSocket.send(pair.first.raw, $0) } == nil
    }
    #expect(full)
  }

  @Test func `a stale socket file is replaced and a live one is not`() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/socket"
    do { _ = try UnixSocket.listen(path: path, kind: .stream) }
    let live = try UnixSocket.listen(path: path, kind: .stream)
    #expect(throws: SystemError(call: "bind \(path)", code: EADDRINUSE)) {
      _ = try UnixSocket.listen(path: path, kind: .stream)
    }
    #expect(live.raw >= 0)
  }

  @Test func `a file that is no socket is never removed`() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/socket"
    closeAll([open(path, O_CREAT | O_WRONLY, 0o600)])
    #expect(throws: SystemError.self) { _ = try UnixSocket.listen(path: path, kind: .stream) }
    #expect(access(path, F_OK) == 0)
  }

  @Test func `a listener that accepts nobody is given up after the time limit, and never replaced`() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/socket"
    let listener = try UnixSocket.listen(path: path, kind: .sequencedPacket)
    var waiting: [SharedDescriptor] = []
    var failure: SystemError?
    while failure == nil && waiting.count < 1000 {
      do throws(SystemError) {
        waiting.append(SharedDescriptor(try UnixSocket.connect(path: path, kind: .sequencedPacket)))
      } catch {
        failure = error
      }
    }
    #expect(failure?.code == EAGAIN)
    let start = MonotonicTime.now
    let limit = Duration.milliseconds(100)
    #expect { _ = try UnixSocket.connect(path: path, kind: .sequencedPacket, timeLimit: limit) } throws: {
      ($0 as? SystemError)?.code == EAGAIN
    }
    #expect(MonotonicTime.now - start >= limit)
    #expect(throws: SystemError.self) { _ = try UnixSocket.listen(path: path, kind: .sequencedPacket) }
    #expect(try UnixSocket.accept(listener.raw) != nil)
    let late = try UnixSocket.connect(path: path, kind: .sequencedPacket, timeLimit: limit)
    #expect(fcntl(late.raw, F_GETFL) & O_NONBLOCK == 0)
  }

  @Test func `the kernel names the peer`() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/socket"
    let listener = try UnixSocket.listen(path: path, kind: .sequencedPacket)
    let client = try UnixSocket.connect(path: path, kind: .sequencedPacket)
    guard let server = try UnixSocket.accept(listener.raw) else {
      Issue.record("nobody to accept")
      return
    }
    let credentials = try UnixSocket.peerCredentials(server.raw)
    #expect(credentials.pid == getpid())
    #expect(credentials.uid == getuid())
    #expect(try UnixSocket.accept(listener.raw) == nil)
    #expect(client.raw >= 0)
  }

  @Test(arguments: ["", String(repeating: "x", count: 200)])
  func `a path that cannot be an address is refused`(path: String) {
    #expect(throws: SystemError.self) { _ = try UnixSocket.connect(path: path, kind: .stream) }
  }
}
