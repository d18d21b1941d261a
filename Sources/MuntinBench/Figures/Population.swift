import Buffers
import GPUDevice

/// Whether a command takes longer when many other resources are alive.
enum Population {
  private static let others = 2000
  private static let repetitions = 4
  private static let size = Size(width: 64, height: 64)

  private struct Kind {
    let name: String
    let slots: CommandSlots
  }

  /// One round on one side.
  static func measure(_ subject: Subject, _ results: Results) throws(BenchError) {
    let guest = subject.guest
    let backing = try Backing(guest, byteCount: 16 * Backing.pageSize, .scattered)
    let shown = try guest.create(size, backing)
    let bare = try guest.create(size)
    let kinds = try kinds(guest, shown: shown, bare: bare, backing)
    var without = [[Double]](repeating: [], count: kinds.count)
    var with = without
    let crowd = try Crowd(guest, count: others, size)
    for _ in 0..<repetitions {
      try time(kinds, into: &without)
      try crowd.gather()
      try time(kinds, into: &with)
      try crowd.scatter()
    }
    try guest.perform(.setScanout(ScanoutID(rawValue: 0), resource: .none, source: .empty))
    try guest.perform(.resourceUnref(shown))
    try guest.perform(.resourceUnref(bare))
    for (index, kind) in kinds.enumerated() {
      guard let alone = Spread(without[index]), let among = Spread(with[index]) else { continue }
      record(kind.name, subject.side, alone: alone.median, among: among.median, results)
    }
  }

  private static func record(
    _ name: String, _ side: Side, alone: Double, among: Double, _ results: Results
  ) {
    switch side {
    case .muntin:
      results.record(
        Figure(.population, name, .microseconds, beside: .alone, .ratioAtMost(1.1)), ours: among, peer: alone)
    case .qemu:
      results.record(
        Figure(.population, "\(name), QEMU's", .microseconds, beside: .alone), ours: among, peer: alone)
    }
  }

  private static func kinds(
    _ guest: Guest, shown: ResourceID, bare: ResourceID, _ backing: Backing
  ) throws(BenchError) -> [Kind] {
    let whole = Rectangle(size)
    let scanout = ScanoutID(rawValue: 0)
    let cursor = Command.CursorUpdate(scanout: scanout, x: 5, y: 5, resource: shown)
    let fresh = guest.newResource()
    let lists: [(String, [Command])] = [
      ("create, unref", [.resourceCreate2D(fresh, format: Guest.pixelFormat, size: size), .resourceUnref(fresh)]),
      ("attach 16 pages, detach", [.resourceAttachBacking(bare, entryCount: 16), .resourceDetachBacking(bare)]),
      ("transfer 64x64", [.transferToHost2D(shown, whole, offset: 0)]),
      ("set_scanout", [.setScanout(scanout, resource: shown, source: whole)]),
      ("flush 64x64", [.resourceFlush(shown, whole)]),
      ("update_cursor", [.updateCursor(cursor)]),
      ("move_cursor", [.moveCursor(cursor)]),
    ]
    var kinds: [Kind] = []
    for (name, commands) in lists {
      let batch = Array(repeating: commands, count: 64 / commands.count).flatMap { $0 }
      kinds.append(Kind(name: name, slots: try CommandSlots(guest, batch, tail: backing.encoded)))
    }
    return kinds
  }

  /// Microseconds per command of each kind.
  private static func time(_ kinds: [Kind], into times: inout [[Double]]) throws(BenchError) {
    for (index, kind) in kinds.enumerated() {
      for _ in 0..<2 { try kind.slots.batch() }
      let perSecond = try Stopwatch.rate(over: .milliseconds(10)) { () throws(BenchError) in
        try kind.slots.batch()
        return kind.slots.count
      }
      times[index].append(1e6 / perSecond)
      try kind.slots.check()
    }
  }
}

/// Resources that are only there.
private struct Crowd {
  private var creates: [CommandSlots] = []
  private var unrefs: [CommandSlots] = []

  init(_ guest: Guest, count: Int, _ size: Size) throws(BenchError) {
    for _ in 0..<(count / 50) {
      let resources = (0..<50).map { _ in guest.newResource() }
      creates.append(
        try CommandSlots(
          guest, resources.map { .resourceCreate2D($0, format: Guest.pixelFormat, size: size) }))
      unrefs.append(try CommandSlots(guest, resources.map { .resourceUnref($0) }))
    }
  }

  func gather() throws(BenchError) { try run(creates) }
  func scatter() throws(BenchError) { try run(unrefs) }

  private func run(_ batches: [CommandSlots]) throws(BenchError) {
    for slots in batches {
      try slots.batch()
      try slots.check()
    }
  }
}
