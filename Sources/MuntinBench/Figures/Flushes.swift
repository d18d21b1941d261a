import Buffers
import GPUDevice
import Glibc

/// How soon and how often a guest's flush reaches whoever shows it.
///
/// QEMU's way: the pixels cross the display socket, and the flush is seen when the last of them was read. Muntin's: a
/// consumer, which has the picture mapped, is told what changed, looks at one pixel of that, and answers at once.
enum Flushes {
  private static let size = Size(width: 1920, height: 1080)
  private static let perKick = 16

  private static let damages: [(name: String, area: Rectangle, least: Double)] = [
    ("1080p", Rectangle(size), 50), ("64x64", Rectangle(x: 128, y: 256, width: 64, height: 64), 1),
  ]

  /// What each figure counts, for the report.
  private static let meanings = [
    "flushes": "flushes seen: all that were done when the consumer had its last; several may have come as one",
    "frames told apart":
      "frames told apart: only what the consumer was told of by itself, with its own rectangle; QEMU's viewer reads each flush's pixels",
    "back-end's CPU per flush":
      "back-end's CPU per flush: of the graphics card's process alone, looking for work included",
    "rate": "one at a time, rate: the next flush is sent when the one before was both answered and seen",
    "seen after, median": "seen after: from the kick to the consumer's having it",
    "answered after, median":
      "answered after: from the kick to the guest's having its answer. Muntin answers once the consumer has latched the frame, QEMU before its viewer has read it",
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
      try latency(subject, name, flush, least, results)
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
    let spent = Double(subject.usage.cpuNanoseconds - cpu)
    let figures: [(String, Figure.Unit, Figure.Target, Double)] = [
      ("flushes", .perSecond, .ratioAtLeast(least), flushes / seconds),
      ("frames told apart", .perSecond, .ratioAtLeast(least), Double(after.frames - before.frames) / seconds),
      ("back-end's CPU per flush", .microseconds, .none, spent / 1e3 / flushes),
    ]
    for (what, unit, target, value) in figures {
      record("\(name), \(perKick) per kick", what, unit, target, subject.side, value, results)
    }
  }

  private static func record(
    _ name: String, _ what: String, _ unit: Figure.Unit, _ target: Figure.Target, _ side: Side, _ value: Double,
    _ results: Results
  ) {
    let figure = Figure(.flushes, "\(name): \(what)", unit, beside: .qemu, target)
    results.record(figure, side, value)
    if let meaning = meanings[what], name.hasPrefix(damages[0].name) { results.note(figure, meaning) }
  }

  private static func latency(
    _ subject: Subject, _ name: String, _ flush: Command, _ least: Double, _ results: Results
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
    let figures: [(String, Figure.Unit, Figure.Target, Double)] = [
      ("rate", .perSecond, .ratioAtLeast(least), perSecond),
      ("seen after, median", .microseconds, .none, percentile(0.5, of: seen)),
      ("seen after, 99th percentile", .microseconds, .none, percentile(0.99, of: seen)),
      ("answered after, median", .microseconds, .none, percentile(0.5, of: answered)),
    ]
    for (what, unit, target, value) in figures {
      record("\(name), one at a time", what, unit, target, subject.side, value, results)
    }
  }
}
