import Buffers
import GPUDevice
import Glibc

/// What 3D costs a card beside the drawing itself: reading back what is shown, small submissions, fences. The guest's part
/// is played here, so that no emulated processor hides anything.
enum Rendering {
  private static let meanings = [
    "one 1080p texture on the screen; the card draws with libvirglrenderer on Mesa's software driver, and nobody else "
      + "has the picture",
    "read back: the card's CPU for a flush, everything included",
    "a submission has 16 words that do nothing; 64 per kick, or one with a fence",
  ]
  /// A flush of no pixels costs something, too: what may be on top of the share of the area.
  private static let slack = 0.05

  /// One round.
  static func measure(_ stage: RenderingStage, _ results: Results) throws(BenchError) {
    try readBack(stage, results)
    try submissions(stage, results)
  }

  private static func readBack(_ stage: RenderingStage, _ results: Results) throws(BenchError) {
    var costs: [Double] = []
    for damage in RenderingStage.Damage.allCases {
      let cost = try stage.cpu(of: damage)
      costs.append(cost)
      let figure = Figure(.rendering, "read back, \(damage.rawValue): CPU per flush", .microseconds, beside: .nothing)
      results.record(figure, ours: cost / 1000)
      if damage == .small { for meaning in meanings { results.note(figure, meaning) } }
    }
    guard let whole = costs.last else { return }
    for (damage, cost) in zip(RenderingStage.Damage.allCases, costs).dropLast() {
      results.record(
        Figure(
          .rendering, "read back, \(damage.rawValue): share of a whole picture's CPU", .count, beside: .nothing,
          .atMost(damage.share + slack)), ours: cost / whole)
    }
  }

  private static func submissions(_ stage: RenderingStage, _ results: Results) throws(BenchError) {
    for _ in 0..<5 { try stage.small.batch() }
    let rate = try Stopwatch.rate(over: .milliseconds(120)) { () throws(BenchError) in
      try stage.small.batch()
      return stage.small.count
    }
    try stage.small.check()
    results.record(Figure(.rendering, "SUBMIT_3D of 64 bytes", .perSecond, beside: .nothing), ours: rate)
    var times: [Double] = []
    let end = Stopwatch.now + 150_000_000
    while Stopwatch.now < end {
      times.append(try Stopwatch.nanoseconds { () throws(BenchError) in try stage.fenced.batch() } / 1000)
    }
    try stage.fenced.check()
    results.record(
      Figure(
        .rendering, "SUBMIT_3D of 64 bytes until its fence: median", .microseconds, beside: .nothing, .atMost(1000)),
      ours: percentile(0.5, of: times))
    results.record(
      Figure(.rendering, "SUBMIT_3D of 64 bytes until its fence: 99th percentile", .microseconds, beside: .nothing),
      ours: percentile(0.99, of: times))
  }
}

/// A card that draws in 3D and shows a texture of 1080p.
final class RenderingStage {
  /// What changes of the texture.
  enum Damage: String, CaseIterable {
    case small = "64x64"
    case quarter = "960x540"
    case whole = "1920x1080"

    var rectangle: Rectangle {
      switch self {
      case .small: Rectangle(x: 128, y: 256, width: 64, height: 64)
      case .quarter: Rectangle(x: 480, y: 270, width: 960, height: 540)
      case .whole: Rectangle(.fullHD)
      }
    }

    /// Its part of the whole.
    var share: Double {
      Double(rectangle.width) * Double(rectangle.height) / (Double(Size.fullHD.width) * Double(Size.fullHD.height))
    }
  }

  private static let context = ContextID(rawValue: 1)
  private static let perKick = 64

  private let program: Program
  private let guest: Guest
  private let texture: ResourceID
  private var flushes: [Damage: CommandSlots] = [:]
  /// Submissions that do nothing, many in one go.
  let small: CommandSlots
  /// One of them, with a fence.
  let fenced: CommandSlots

  init(_ programs: Programs, _ folder: WorkFolder) throws(BenchError) {
    let socket: String
    (program, socket) = try programs.startBackend(.muntin, folder, renders: true)
    guest = try Guest(connectingTo: socket, display: nil, renders: true)
    texture = guest.newResource()
    let nothing = [UInt8](repeating: 0, count: 64)
    let submission = Command.submit3D(byteCount: UInt32(nothing.count), fenceCount: 0)
    small = try CommandSlots(
      guest, Array(repeating: submission, count: Self.perKick), tail: nothing, context: Self.context)
    fenced = try CommandSlots(guest, [submission], tail: nothing, context: Self.context, fenced: true)
    try show()
    for damage in Damage.allCases {
      let flush = Command.resourceFlush(texture, damage.rectangle)
      flushes[damage] = try CommandSlots(guest, Array(repeating: flush, count: damage == .small ? 64 : 8))
    }
  }

  /// Draws the texture grey and shows it.
  private func show() throws(BenchError) {
    var description = Command.Create3D(resource: texture)
    description.size = .fullHD
    description.format = 1
    // Render target, sampler view, scanout.
    description.bind = 1 << 1 | 1 << 3 | 1 << 18
    try guest.perform(.contextCreate(nameLength: 0, kind: 0), context: Self.context)
    try guest.perform(.resourceCreate3D(description))
    try guest.perform(.contextAttachResource(texture), context: Self.context)
    let grey = Float(0.5).bitPattern
    // A surface of the texture, the frame buffer that it is, and its being cleared.
    let words: [UInt32] = [
      1 | 8 << 8 | 5 << 16, 1, texture.rawValue, 1, 0, 0, 5 | 3 << 16, 1, 0, 1, 7 | 8 << 16, 4, grey, grey, grey, grey,
      0,
      0, 0,
    ]
    let bytes = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
    try guest.perform(
      .submit3D(byteCount: UInt32(bytes.count), fenceCount: 0), tail: bytes, context: Self.context)
    try guest.perform(.setScanout(ScanoutID(rawValue: 0), resource: texture, source: Rectangle(.fullHD)))
    try guest.perform(.resourceFlush(texture, Rectangle(.fullHD)))
  }

  /// Nanoseconds of the card's CPU for a flush.
  func cpu(of damage: Damage) throws(BenchError) -> Double {
    guard let flushes = flushes[damage] else { throw .noRoom("flushes") }
    for _ in 0..<3 { try flushes.batch() }
    let before = program.usage.cpuNanoseconds
    var count = 0
    let end = Stopwatch.now + 120_000_000
    while Stopwatch.now < end {
      try flushes.batch()
      count += flushes.count
    }
    let spent = program.usage.cpuNanoseconds - before
    try flushes.check()
    return Double(spent) / Double(count)
  }
}
