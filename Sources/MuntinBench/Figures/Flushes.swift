import Buffers
import GPUDevice
import Glibc

/// How soon and how often a guest's flush reaches whoever shows it.
///
/// QEMU's way: the pixels cross the display socket, and the flush is seen when the last of them was read. Muntin's:
/// the hub tells a consumer, which has the picture mapped, and which answers at once.
enum Flushes {
  private static let size = Size(width: 1920, height: 1080)
  private static let perKick = 16

  private static let damages: [(name: String, area: Rectangle, least: Double)] = [
    ("1080p", Rectangle(size), 50), ("64x64", Rectangle(x: 128, y: 256, width: 64, height: 64), 1),
  ]

  /// One round on one side.
  static func measure(_ subject: Subject, _ results: Results) throws(BenchError) {
    let guest = subject.guest
    let backing = try Backing(guest, byteCount: Int(size.width) * Int(size.height) * 4, .scattered)
    let resource = try guest.create(size, backing)
    let scanout = ScanoutID(rawValue: 0)
    try guest.perform(.transferToHost2D(resource, Rectangle(size), offset: 0))
    try guest.perform(.setScanout(scanout, resource: resource, source: Rectangle(size)))
    try waitForPicture(subject, resource)
    for (name, area, least) in damages {
      let flush = Command.resourceFlush(resource, area)
      try throughput(subject, name, flush, least, results)
      try latency(subject, name, flush, results)
    }
    try guest.perform(.setScanout(scanout, resource: .none, source: .empty))
    try guest.perform(.resourceUnref(resource))
  }

  /// Flushes until one has been seen: a hub may not know the consumer yet.
  private static func waitForPicture(_ subject: Subject, _ resource: ResourceID) throws(BenchError) {
    let start = subject.seen
    for _ in 0..<500 {
      try subject.guest.perform(.resourceFlush(resource, Rectangle(size)))
      usleep(10_000)
      if subject.seen.flushes > start.flushes { return }
    }
    throw .timedOut("no flush reaches the consumer")
  }

  private static func throughput(
    _ subject: Subject, _ name: String, _ flush: Command, _ least: Double, _ results: Results
  ) throws(BenchError) {
    subject.announce(false)
    let slots = try CommandSlots(subject.guest, Array(repeating: flush, count: perKick))
    for _ in 0..<3 { try slots.batch() }
    try subject.settle()
    let cpu = subject.usage.cpuNanoseconds
    let before = subject.seen
    let start = Stopwatch.now
    let end = start + 150_000_000
    while Stopwatch.now < end { try slots.batch() }
    try subject.settle()
    let after = subject.seen
    let seconds = Double(after.time - start) / 1e9
    let flushes = Double(after.flushes - before.flushes)
    try slots.check()
    results.record(
      Figure(.flushes, "\(name), \(perKick) per kick: flushes", .perSecond, beside: .qemu, .ratioAtLeast(least)),
      subject.side, flushes / seconds)
    results.record(
      Figure(.flushes, "\(name), \(perKick) per kick: frames told apart", .perSecond, beside: .qemu), subject.side,
      Double(after.frames - before.frames) / seconds)
    results.record(
      Figure(.flushes, "\(name), \(perKick) per kick: back-end's CPU per flush", .microseconds, beside: .qemu),
      subject.side, Double(subject.usage.cpuNanoseconds - cpu) / 1e3 / flushes)
  }

  private static func latency(
    _ subject: Subject, _ name: String, _ flush: Command, _ results: Results
  ) throws(BenchError) {
    subject.announce(true)
    let slots = try CommandSlots(subject.guest, [flush])
    var seen: [Double] = []
    var answered: [Double] = []
    let start = Stopwatch.now
    while Stopwatch.now - start < 120_000_000 && seen.count < 3000 {
      let before = subject.seen
      let kick = Stopwatch.now
      try slots.batch()
      answered.append(Double(Stopwatch.now - kick) / 1e3)
      try subject.wait(beyond: before)
      seen.append(Double(subject.seen.time - kick) / 1e3)
    }
    let perSecond = Double(seen.count) * 1e9 / Double(Stopwatch.now - start)
    try slots.check()
    let figures: [(String, Figure.Unit, Double)] = [
      ("rate", .perSecond, perSecond), ("seen after, median", .microseconds, percentile(0.5, of: seen)),
      ("seen after, 99th percentile", .microseconds, percentile(0.99, of: seen)),
      ("answered after, median", .microseconds, percentile(0.5, of: answered)),
    ]
    for (what, unit, value) in figures {
      results.record(Figure(.flushes, "\(name), one at a time: \(what)", unit, beside: .qemu), subject.side, value)
    }
  }
}
