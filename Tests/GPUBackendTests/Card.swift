import GPUDevice
import Glibc
import Platform
import TestSupport
import Testing
import VhostUser
import Virtqueue

/// The process `muntin gpu`, and what it holds of the machine.
final class Card {
  let folder: ScratchFolder
  let program: Program
  var path: String { "\(folder.path)/gpu.sock" }

  init(_ arguments: [String] = []) throws {
    folder = try ScratchFolder()
    let path = "\(folder.path)/gpu.sock"
    program = try Program(["gpu", "--socket-path", path] + arguments)
    try #require(eventually { access(path, F_OK) == 0 }, "\(program.errorsSoFar)")
  }

  deinit {
    program.signal(SIGKILL)
    _ = program.wait()
  }

  /// How many descriptors it has open.
  var descriptorCount: Int { ScratchFolder.names(in: "/proc/\(program.pid)/fd").count }

  /// Its anonymous memory in kilobytes: where what is never freed shows.
  var privateKilobytes: Int {
    guard let file = fopen("/proc/\(program.pid)/status", "re") else { return -1 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    var kilobytes: Int32 = -1
    while fgets(&line, Int32(line.count), file) != nil {
      if strncmp(line, "RssAnon:", 8) == 0 { kilobytes = Int32(atoi(Array(line[8...]))) }
    }
    return Int(kilobytes)
  }
}

/// A VMM with a guest at a card's socket.
final class CardGuest {
  let frontend: VhostUserFrontend
  let arena: GuestArena
  /// Control and cursor.
  private(set) var queues: [VirtqueueDriver] = []

  init(_ card: Card, format: VirtqueueConfiguration.Format = .split) throws {
    frontend = try VhostUserFrontend(path: card.path)
    arena = try GuestArena(count: 4 << 20)
    try frontend.negotiate(features: format == .packed ? .max : .max & ~RingFeature.packed)
    try frontend.share(arena)
    for index in 0..<2 {
      queues.append(try VirtqueueDriver(arena: arena, size: 256, format: format))
      try frontend.start(queues[index], index: UInt32(index))
    }
  }

  /// Requests in the guest's memory, to be sent again and again.
  struct Batch {
    fileprivate var requests: [(readable: VirtqueueDriver.Buffer, writable: VirtqueueDriver.Buffer)] = []
  }

  func batch(_ requests: [[UInt8]]) throws -> Batch {
    var batch = Batch()
    for bytes in requests {
      let request = try arena.allocate(bytes.count)
      try arena.write(bytes, at: request)
      let room = VirtqueueDriver.Buffer(try arena.allocate(1056), 1056)
      batch.requests.append((VirtqueueDriver.Buffer(request, UInt32(bytes.count)), room))
    }
    return batch
  }

  /// Sends a batch so many times, one after the other, many in one kick, and waits for the answers.
  func send(_ batch: Batch, times: Int = 1, on queue: Int = 0) throws {
    let driver = queues[queue]
    let most = 256 / (2 * batch.requests.count)
    for start in stride(from: 0, to: times, by: most) {
      for _ in start..<min(start + most, times) {
        for request in batch.requests {
          try #require(driver.add(readable: [request.readable], writable: [request.writable]) != nil)
        }
      }
      driver.kick()
      try wait(for: driver)
    }
  }

  private func wait(for driver: VirtqueueDriver) throws {
    while driver.inFlightCount > 0 {
      while driver.poll() != nil {}
      guard driver.inFlightCount > 0, !driver.enableCalls() else { continue }
      var bell = pollfd(fd: driver.callBell.waiting.raw, events: Int16(POLLIN), revents: 0)
      try #require(poll(&bell, 1, 10_000) > 0, "no answer within 10 s")
      _ = driver.wasCalled()
    }
    #expect(driver.violations.isEmpty)
  }

  /// The code of the last answer to a batch's request.
  func code(of batch: Batch, _ index: Int) throws -> ResponseCode? {
    let bytes = try arena.read(at: batch.requests[index].writable.address, count: 4)
    return ResponseCode(rawValue: bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) })
  }
}
