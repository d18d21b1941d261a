import Glibc
import Platform

/// One side's back-end at work, with a guest connected to it and somebody who sees its flushes.
final class Subject {
  /// Who sees.
  enum Viewer {
    case none
    /// The monitor's end of a display socket.
    case display(DisplayReader)
    /// A consumer of the hub.
    case hub(FrameWatcher)
  }

  /// What has been seen so far.
  struct Seen {
    /// Flushes; several may be contained in one frame.
    let flushes: Int
    let frames: Int
    /// When the last one was seen.
    let time: Int64
  }

  let side: Side
  let program: Program
  let guest: Guest
  private let viewer: Viewer

  /// Connects to the program's socket and starts the viewer.
  init(_ side: Side, _ program: Program, socket: String, viewer: Viewer) throws(BenchError) {
    self.side = side
    self.program = program
    self.viewer = viewer
    switch viewer {
    case .none: guest = try Guest(connectingTo: socket, display: nil)
    case .display(let reader): guest = try Guest(connectingTo: socket, display: reader)
    case .hub(let watcher):
      guest = try Guest(connectingTo: socket, display: nil)
      watcher.start()
    }
  }

  deinit {
    switch viewer {
    case .none: break
    case .display(let reader): reader.finish()
    case .hub(let watcher): watcher.finish()
    }
  }

  /// What the back-end has used so far.
  var usage: ProcessUsage { program.usage }

  /// What the viewer has seen.
  var seen: Seen {
    switch viewer {
    case .none: Seen(flushes: 0, frames: 0, time: 0)
    case .display(let reader): Seen(flushes: reader.count, frames: reader.count, time: reader.lastTime)
    case .hub(let watcher): Seen(flushes: Int(watcher.serial), frames: watcher.frames, time: watcher.lastTime)
    }
  }

  /// Whether each frame wakes `wait`.
  func announce(_ on: Bool) {
    switch viewer {
    case .none: break
    case .display(let reader): reader.announce(on)
    case .hub(let watcher): watcher.announce(on)
    }
  }

  /// Sleeps until more flushes have been seen than then.
  func wait(beyond then: Seen) throws(BenchError) {
    switch viewer {
    case .none: throw .timedOut("nobody looks")
    case .display(let reader): try reader.wait(beyond: then.flushes)
    case .hub(let watcher): try watcher.wait(beyond: UInt64(then.flushes))
    }
  }

  /// Waits until nothing more is seen.
  func settle() throws(BenchError) {
    var last = seen.flushes
    for _ in 0..<500 {
      usleep(5000)
      if seen.flushes == last { return }
      last = seen.flushes
    }
    throw .timedOut("the viewer does not come to rest")
  }
}
