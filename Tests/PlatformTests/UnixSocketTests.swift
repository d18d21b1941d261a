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

  @Test func `a socket for its owner only lets no other user in`() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/socket"
    let listener = try UnixSocket.listen(path: path, kind: .sequencedPacket, ownerOnly: true)
    var status = stat()
    #expect(lstat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    #expect(listener.raw >= 0)
  }

  @Test func `pieces that lie apart are sent as one`() throws {
    let pair = try UnixSocket.pair(.stream)
    var words: (UInt32, UInt32, UInt32) = (0x0101_0101, 0, 0x0202_0202)
    let sent = try withUnsafeMutableBytes(of: &words) { bytes -> Int? in
      var pieces = [
        iovec(iov_base: bytes.baseAddress, iov_len: 4), iovec(iov_base: bytes.baseAddress.map { $0 + 8 }, iov_len: 3),
      ]
      return try pieces.withUnsafeMutableBufferPointer { try UnixSocket.send(pair.first.raw, gathering: $0) }
    }
    #expect(sent == 7)
    var room = [UInt8](repeating: 0, count: 16)
    var none: [Int32] = []
    let received = try room.withUnsafeMutableBytes {
      try UnixSocket.receive(pair.second.raw, into: $0, descriptors: &none)
    }
    #expect(received == .bytes(7, truncated: false))
    #expect(room.prefix(8) == [1, 1, 1, 1, 2, 2, 2, 0])
  }

  @Test func `a full socket takes no pieces instead of waiting`() throws {
    let pair = try UnixSocket.pair(.stream)
    var bytes = [UInt8](repeating: 0, count: 100_000)
    let isFull = try bytes.withUnsafeMutableBytes { bytes -> Bool in
      var piece = [iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)]
      return try piece.withUnsafeMutableBufferPointer { piece in
        for _ in 0..<1000 where try UnixSocket.send(pair.first.raw, gathering: piece) == nil { return true }
        return false
      }
    }
    #expect(isFull)
  }

  @Test func `who wants to wait gets everything through, whatever is non-blocking`() throws {
    let (first, second) = try UnixSocket.pair(.stream).take()
    defer { closeAll([first, second]) }
    let total = 4 << 20
    let reader = try Thread {
      var room = [UInt8](repeating: 0, count: 64 << 10)
      var none: [Int32] = []
      var count = 0
      while count < total {
        let received = try? room.withUnsafeMutableBytes {
          try UnixSocket.receive(second, into: $0, descriptors: &none, wait: false)
        }
        if case .bytes(let more, _)? = received { count += more } else { usleep(100) }
      }
    }
    let sent = try [UInt8](repeating: 1, count: total).withUnsafeBytes {
      try UnixSocket.send(first, $0, wait: true)
    }
    #expect(sent == total)
    reader.join()
  }

  @Test func `a connection has ended once its peer has closed and everything was read`() throws {
    let (first, second) = try UnixSocket.pair(.stream).take()
    #expect(!UnixSocket.hasEnded(second))
    _ = try [UInt8](repeating: 1, count: 3).withUnsafeBytes { try UnixSocket.send(first, $0) }
    closeAll([first])
    #expect(!UnixSocket.hasEnded(second))
    var received: [Int32] = []
    #expect(try receive(second, descriptors: &received) == .bytes(3, truncated: false))
    #expect(UnixSocket.hasEnded(second))
    closeAll([second])
  }

  @Test(arguments: ["", String(repeating: "x", count: 200)])
  func `a path that cannot be an address is refused`(path: String) {
    #expect(throws: SystemError.self) { _ = try UnixSocket.connect(path: path, kind: .stream) }
  }
}
