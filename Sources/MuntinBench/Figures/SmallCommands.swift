import Buffers
import GPUDevice

/// What commands cost that move no pixels: RESOURCE_FLUSH of a resource that no scanout shows.
enum SmallCommands {
  private static let rate = Figure(
    .commands, "64 per kick", .perSecond, beside: .qemu, .ratioAtLeast(1.5))
  private static let cpu = Figure(.commands, "64 per kick: CPU per command", .microseconds, beside: .qemu)
  private static let pairs = Figure(
    .commands, "CREATE_2D + UNREF 64x64, pairs", .perSecond, beside: .qemu, .ratioAtLeast(1.5))
  private static let cycles = Figure(
    .commands, "create + attach 16 pages + detach + unref", .perSecond, beside: .qemu)

  /// One round on one side.
  static func measure(_ subject: Subject, _ results: Results) throws(BenchError) {
    let guest = subject.guest
    let resource = try guest.create(Size(width: 16, height: 16))
    let flush = Command.resourceFlush(resource, Rectangle(x: 0, y: 0, width: 1, height: 1))
    try throughput(subject, flush, results)
    for waiting in [GuestQueue.Waiting.asleep, .spinning] { try roundTrip(subject, flush, waiting, results) }
    try guest.perform(.resourceUnref(resource))
    try lifecycles(subject, results)
  }

  private static func throughput(_ subject: Subject, _ flush: Command, _ results: Results) throws(BenchError) {
    let slots = try CommandSlots(subject.guest, Array(repeating: flush, count: 64))
    for _ in 0..<20 { try slots.batch() }
    let before = subject.usage.cpuNanoseconds
    var count = 0
    let perSecond = try Stopwatch.rate(over: .milliseconds(120)) { () throws(BenchError) in
      try slots.batch()
      count += slots.count
      return slots.count
    }
    let spent = subject.usage.cpuNanoseconds - before
    try slots.check()
    results.record(rate, subject.side, perSecond)
    results.record(cpu, subject.side, Double(spent) / 1e3 / Double(count))
  }

  private static func roundTrip(
    _ subject: Subject, _ flush: Command, _ waiting: GuestQueue.Waiting, _ results: Results
  ) throws(BenchError) {
    let slots = try CommandSlots(subject.guest, [flush])
    for _ in 0..<100 { try slots.batch(waiting) }
    let before = subject.usage.cpuNanoseconds
    var times: [Double] = []
    times.reserveCapacity(4000)
    let end = Stopwatch.now + 120_000_000
    while Stopwatch.now < end && times.count < 20_000 {
      times.append(try Stopwatch.nanoseconds { () throws(BenchError) in try slots.batch(waiting) })
    }
    let spent = subject.usage.cpuNanoseconds - before
    try slots.check()
    record(times, waiting, subject.side, results)
    guard waiting == .asleep else { return }
    results.record(
      Figure(.commands, "one, driver asleep: CPU per command", .microseconds, beside: .qemu), subject.side,
      Double(spent) / 1e3 / Double(times.count))
  }

  private static func record(
    _ times: [Double], _ waiting: GuestQueue.Waiting, _ side: Side, _ results: Results
  ) {
    let name = waiting == .asleep ? "one, driver asleep" : "one, driver spinning"
    results.record(
      Figure(.commands, "\(name): median", .microseconds, beside: .qemu, .ratioAtMost(1)), side,
      percentile(0.5, of: times) / 1e3)
    results.record(
      Figure(.commands, "\(name): 99th percentile", .microseconds, beside: .qemu), side,
      percentile(0.99, of: times) / 1e3)
  }

  private static func lifecycles(_ subject: Subject, _ results: Results) throws(BenchError) {
    let guest = subject.guest
    let size = Size(width: 64, height: 64)
    var commands: [Command] = []
    for _ in 0..<32 {
      let resource = guest.newResource()
      commands.append(.resourceCreate2D(resource, format: Guest.pixelFormat, size: size))
      commands.append(.resourceUnref(resource))
    }
    try record(pairs, commands, perBatch: 32, [], subject, results)
    let backing = try Backing(guest, byteCount: 16 * Backing.pageSize, .scattered)
    commands = []
    for _ in 0..<16 {
      let resource = guest.newResource()
      commands += [
        .resourceCreate2D(resource, format: Guest.pixelFormat, size: size),
        .resourceAttachBacking(resource, entryCount: 16), .resourceDetachBacking(resource), .resourceUnref(resource),
      ]
    }
    try record(cycles, commands, perBatch: 16, backing.encoded, subject, results)
  }

  private static func record(
    _ figure: Figure, _ commands: [Command], perBatch: Int, _ tail: [UInt8], _ subject: Subject, _ results: Results
  ) throws(BenchError) {
    let slots = try CommandSlots(subject.guest, commands, tail: tail)
    for _ in 0..<10 { try slots.batch() }
    let perSecond = try Stopwatch.rate(over: .milliseconds(100)) { () throws(BenchError) in
      try slots.batch()
      return perBatch
    }
    try slots.check()
    results.record(figure, subject.side, perSecond)
  }
}
