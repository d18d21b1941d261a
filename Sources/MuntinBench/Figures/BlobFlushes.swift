import Buffers
import Glibc

/// How soon a frame in a guest's own pages is latched by a consumer, for pictures of three sizes: nothing is copied, so
/// the size must not matter.
enum BlobFlushes {
  private static let screens = [
    ("720p", Size(width: 1280, height: 720)), ("1080p", Size.fullHD), ("4K", Size(width: 3840, height: 2160)),
  ]

  /// The sizes of the screens.
  static var sizes: [Size] { screens.map(\.1) }

  /// How far the times of the sizes may be apart.
  private static let sameness = 1.2

  /// What the figures count, for the report.
  private static let meanings = [
    "latched after: from the kick to the consumer's having the frame; answered after: to the guest's having its answer",
    "QEMU's back-end knows no blobs: its frame is a transfer and a flush, its viewer reads the pixels from the socket",
  ]

  private struct Times {
    var latched: [Double] = []
    var answered: [Double] = []
  }

  /// One round on one side. The sizes take turns, frame by frame, so that what disturbs the machine disturbs all.
  static func measure(_ stage: BlobStage, _ results: Results) throws(BenchError) {
    var times = screens.map { _ in Times() }
    let end = Stopwatch.now + 1_000_000_000
    while Stopwatch.now < end {
      for index in screens.indices {
        let frame = try stage.frame(on: index)
        times[index].latched.append(frame.latched)
        times[index].answered.append(frame.answered)
      }
    }
    record(times, stage.subject.side, results)
  }

  private static func record(_ times: [Times], _ side: Side, _ results: Results) {
    let shares = [("median", 0.5), ("99th percentile", 0.99)]
    for (what, path) in [("latched after", \Times.latched), ("answered after", \Times.answered)] {
      for (name, share) in shares {
        let values = times.map { percentile(share, of: $0[keyPath: path]) }
        for (screen, value) in zip(screens, values) {
          record("\(screen.0): \(what), \(name)", .microseconds, .none, side, value, results)
        }
        let largest = (values.max() ?? .nan) / (values.min() ?? .nan)
        record("\(what), \(name): largest of the three / smallest", .count, .atMost(sameness), side, largest, results)
      }
    }
  }

  private static func record(
    _ name: String, _ unit: Figure.Unit, _ target: Figure.Target, _ side: Side, _ value: Double, _ results: Results
  ) {
    results.record(Figure(.blobs, name, unit, beside: .qemu, target), side, value)
  }

  /// How many pixels the back-end copies for a frame, by its own count; beside it, for a display that may not see the
  /// guest's memory.
  static func count(_ stage: BlobStage, besideCopying copying: BlobStage, _ results: Results) throws(BenchError) {
    let figure = Figure(.blobs, "pixels copied per frame", .count, beside: .copyWay, .atMost(0))
    results.record(figure, ours: try copied(stage), peer: try copied(copying))
    for meaning in meanings { results.note(figure, meaning) }
    results.note(
      figure,
      "pixels copied, as the hub lists them: \(try stage.ways().joined(separator: ", ")); beside it "
        + (try copying.ways().joined(separator: ", ")))
  }

  private static func copied(_ stage: BlobStage) throws(BenchError) -> Double {
    let frames = 100
    let before = try settledCount(stage)
    for _ in 0..<frames {
      for index in screens.indices { _ = try stage.frame(on: index) }
    }
    return Double(try settledCount(stage) - before) / Double(frames * screens.count)
  }

  /// The back-end reports its count a little later than it has changed.
  private static func settledCount(_ stage: BlobStage) throws(BenchError) -> UInt64 {
    usleep(100_000)
    return try stage.pixelsCopied()
  }
}
