import Buffers
import Glibc

/// Linux guests that draw in 3D, with Muntin's card and with QEMU's own: the same library draws, in the same QEMU, for the
/// same guest.
enum RenderedGuests {
  private static let size = Size(width: 640, height: 480)
  private static let scenes = [
    ("build", "build:use-vbo=true"), ("texture", "texture:texture-filter=linear"), ("shading", "shading:shading=phong"),
    ("effect2d", "effect2d"), ("buffer", "buffer:update-method=map"),
  ]
  private static let seconds = 1.0

  private static let meanings = [
    "in guests: Debian trixie with Mesa's virgl driver in QEMU 10, emulated, on a screen of 640x480. Muntin's card shows it "
      + "on a display of 240 frames a second, because a guest's frames keep step with its display; QEMU's own shows it in a "
      + "window of an X server without a screen, and its frames keep step with nothing",
    "fence: from the submission until the program's poll(2) says that it is done, in the guest, when there is nothing to do; "
      + "after a drawing is done: twice the median of one drawing less that of two, which do the same twice",
    "memory: the card's own pages and files (RssAnon, RssFile), its whole process, once a program of the guest's has "
      + "submitted something; beside it, by how much QEMU with its own device has more of them than the QEMU of the guest "
      + "with Muntin's card. The X server is in neither",
  ]

  /// All of it, with machines of its own.
  static func measure(
    _ programs: Programs, _ files: Machine.RenderedFiles, _ folder: WorkFolder, rounds: Int,
    _ progress: (String) -> Void, _ results: Results
  ) throws(BenchError) {
    progress("guests that draw in 3D boot")
    let stage = try RenderedStage(programs, files, folder, size)
    if !programs.measuresReferenceTwice { try memory(stage, results) }
    for round in 0..<rounds {
      progress("round \(round + 1) of \(rounds): guests that draw in 3D")
      var rates: [Side: [(scene: String, rate: Double)]] = [:]
      for side in Side.order(ofRound: round) {
        try commands(stage.machine(side), side, results)
        try drawing(stage.machine(side), side, results)
        rates[side] = [("kmscube", try cube(stage.machine(side)))] + (try glmark(stage.machine(side)))
      }
      record(rates, results)
    }
  }

  private static func memory(_ stage: RenderedStage, _ results: Results) throws(BenchError) {
    let figure = Figure(.rendering, "gpu, one idle context of a guest's", .mebibytes, beside: .qemu)
    let (ours, its) = try stage.idleMemory()
    results.record(figure, ours: ours, peer: its)
    for meaning in meanings { results.note(figure, meaning) }
  }

  /// How long after a drawing is done the program knows it: two drawings take one drawing's time longer than one.
  private static func drawing(_ machine: Machine, _ side: Side, _ results: Results) throws(BenchError) {
    try machine.tell("card3d")
    _ = try machine.expect("ok card3d")
    let ask = { (line: String) throws(BenchError) -> String in
      try machine.tell(line)
      return try machine.expect("ok")
    }
    let extent = DrawnTriangle.extent
    // Target, format, uses, size, depth, layers, levels, samples, flags, bytes of the guest's.
    let texture = try numbers(ask("create 2 1 10 \(extent) \(extent) 1 1 0 0 0 4096"), 2)
    let vertices = try numbers(ask("create 0 64 16 \(DrawnTriangle.vertexByteCount) 1 1 1 0 0 0 4096"), 2)
    let triangle = DrawnTriangle(texture: UInt32(texture[1]), vertices: UInt32(vertices[1]))
    var times: [Double] = []
    _ = try ask("submit \(text(triangle.setup))")
    for draws in [triangle.draw, triangle.draw + triangle.draw] {
      _ = try ask("submit \(text(draws))")
      times.append(try numbers(ask("fences 60"), 2)[0])
    }
    try machine.tell("quit")
    let figure = Figure(
      .rendering, "in guests, fence of a drawing: after it is done", .microseconds, beside: .qemu, .atMost(1000))
    results.record(figure, side, 2 * times[0] - times[1])
    results.record(
      Figure(.rendering, "in guests, fence of a drawing: median", .microseconds, beside: .qemu), side, times[0])
  }

  /// Words as card3d takes them.
  private static func text(_ words: [UInt32]) -> String {
    words.map { String($0, radix: 16) }.joined(separator: " ")
  }

  /// Submissions that do nothing.
  private static func commands(_ machine: Machine, _ side: Side, _ results: Results) throws(BenchError) {
    let count = 2000
    try machine.tell("printf 'submit 0*16\\nfences 200\\nsmall \(count) 16\\n' | card3d")
    _ = try machine.expect("ok card3d")
    _ = try machine.expect("ok")
    let fences = try numbers(machine.expect("ok"), 2)
    let small = try numbers(machine.expect("ok"), 1)
    results.record(
      Figure(.rendering, "in guests, fence: median", .microseconds, beside: .qemu, .atMost(1000)), side, fences[0])
    results.record(
      Figure(.rendering, "in guests, fence: 99th percentile", .microseconds, beside: .qemu), side, fences[1])
    results.record(
      Figure(.rendering, "in guests, SUBMIT_3D of 64 bytes", .perSecond, beside: .qemu), side,
      Double(count) * 1e6 / small[0])
  }

  private static func numbers(_ line: String, _ count: Int) throws(BenchError) -> [Double] {
    let found = line.split(separator: " ").compactMap { Double($0) }
    guard found.count == count else { throw .program("card3d", "said \(line)") }
    return found
  }

  /// Frames per second of kmscube: two seconds of them, after two others.
  private static func cube(_ machine: Machine) throws(BenchError) -> Double {
    // It ends when there is something to read.
    try machine.tell("sleep 60 | kmscube &")
    let counts = try (0..<2).map { _ throws(BenchError) in
      // Rendered 123 frames in 2.012345 sec (61.123456 fps)
      try numbers(machine.expect("Rendered", seconds: 60), 2)
    }
    try machine.run("killall -9 kmscube sleep; sleep 0.5")
    return (counts[1][0] - counts[0][0]) / (counts[1][1] - counts[0][1])
  }

  private static func glmark(_ machine: Machine) throws(BenchError) -> [(scene: String, rate: Double)] {
    let wanted = scenes.map { "-b \($0.1):duration=\(seconds)" }.joined(separator: " ")
    try machine.tell(
      "LD_PRELOAD=/run/muntin/one_mode.so glmark2-es2-drm --visual-config red=8:green=8:blue=8:alpha=0 \(wanted)")
    return try scenes.map { (name, _) throws(BenchError) in
      // [build] use-vbo=true: FPS: 123 FrameTime: 8.130 ms
      let words = try machine.expect("[\(name)]", seconds: 60).split(separator: " ")
      guard let place = words.firstIndex(of: "FPS:"), place + 1 < words.count, let rate = Double(words[place + 1])
      else {
        throw .program("glmark2", "said \(words.joined(separator: " "))")
      }
      return ("glmark2 \(name)", rate)
    }
  }

  private static func record(_ rates: [Side: [(scene: String, rate: Double)]], _ results: Results) {
    for (side, list) in rates {
      for (scene, rate) in list {
        results.record(
          Figure(.rendering, "in guests, \(scene): frames", .perSecond, beside: .qemu, .ratioAtLeast(1)), side, rate)
      }
    }
    for (side, list) in rates {
      let mean = exp(list.reduce(0) { $0 + log($1.rate) } / Double(list.count))
      results.record(
        Figure(
          .rendering, "in guests, all scenes: geometric mean of frames", .perSecond, beside: .qemu, .ratioAtLeast(1.2)),
        side, mean)
    }
  }
}

/// Two guests, one with Muntin's card and one with QEMU's own, and what shows them.
private final class RenderedStage {
  private let card: Program?
  private let others: [Program]
  private let machines: [Side: Machine]

  init(
    _ programs: Programs, _ files: Machine.RenderedFiles, _ folder: WorkFolder, _ size: Size
  ) throws(BenchError) {
    let log = folder.newPath("log")
    let window = try Program(
      "Xvfb", ["-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"], log: log)
    let display = try Self.display(of: window, log)
    let own = { () throws(BenchError) in
      try Machine(
        files, folder,
        gpu: [
          "-display", "sdl,gl=on", "-device", "virtio-gpu-gl-pci,xres=\(size.width),yres=\(size.height)",
        ],
        environment: ["DISPLAY=\(display)"])
    }
    if programs.measuresReferenceTwice {
      (card, others) = (nil, [window])
      machines = [.muntin: try own(), .qemu: try own()]
      return
    }
    let hub = try programs.startHub(folder)
    let compositor = try programs.startCompositor(folder, hub: hub.socket, size: "\(size)", refresh: 240)
    let (program, socket) = try programs.startBackend(
      .muntin, folder, hub: hub.socket, screens: [size], renders: true)
    (card, others) = (program, [window, hub.program, compositor])
    let ours = try Machine(
      files, folder,
      gpu: [
        "-display", "none", "-chardev", "socket,id=gpu,path=\(socket)",
        "-device", "vhost-user-gpu-pci,chardev=gpu,max_outputs=1",
      ])
    machines = [.muntin: ours, .qemu: try own()]
  }

  deinit {
    // The guests first.
    for machine in machines.values { machine.program.end() }
    for program in others.reversed() { program.end() }
  }

  /// What the X server says.
  private static func display(of window: Program, _ log: String) throws(BenchError) -> String {
    for _ in 0..<500 {
      let lines = TextFile.read(log).split(separator: "\n")
      if let number = lines.first(where: { $0.allSatisfy(\.isNumber) }) { return ":\(number)" }
      usleep(10_000)
    }
    throw .program(window.name, "has no display: \(TextFile.read(log))")
  }

  func machine(_ side: Side) throws(BenchError) -> Machine {
    guard let machine = machines[side] else { throw .noRoom("a machine") }
    return machine
  }

  /// What a context takes that a program has used once, beside what QEMU takes for its own device.
  func idleMemory() throws(BenchError) -> (ours: Double, its: Double) {
    let (ours, its) = (try machine(.muntin), try machine(.qemu))
    for machine in [ours, its] {
      try machine.tell("(echo 'submit 0*16'; sleep 6) | card3d &")
      _ = try machine.expect("ok card3d")
      _ = try machine.expect("ok")
    }
    usleep(2_000_000)
    let sizes = (
      card?.usage.ownMebibytes ?? 0, its.program.usage.ownMebibytes - ours.program.usage.ownMebibytes
    )
    for machine in [ours, its] { try machine.run("sleep 5") }
    return sizes
  }
}
