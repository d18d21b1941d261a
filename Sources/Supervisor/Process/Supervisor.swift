import Glibc
import Logging
import Platform

/// Starts the parts of a plan, starts again what dies, and ends them all.
public final class Supervisor {
  /// How long a part may take to end by itself after SIGTERM.
  var patience = Duration.seconds(3)
  /// How long a part waits for another's socket before that is said.
  static let quietWait = Duration.seconds(10)

  private let loop: EventLoop
  private let logger: Logger
  private let waiter: SocketWaiter
  private let parts: [SupervisedPart]
  private let lock: UpLock
  private let groups: ControlGroups?
  private var whenStopped: (() -> Void)?

  /// Takes the plan's sockets: nobody else may use them, and what an earlier run left is removed.
  /// - Parameter emit: gets each line that a part prints, with the part's name.
  public init(
    _ plan: UpPlan, loop: EventLoop, logger: Logger, emit: @escaping (_ name: String, _ line: String) -> Void
  ) throws(SupervisorError) {
    self.loop = loop
    self.logger = logger
    try SocketFiles.makeFolder(for: plan.hubSocket)
    lock = try UpLock(hubSocket: plan.hubSocket)
    groups = Self.groups(for: plan, logger)
    for socket in plan.parts.compactMap(\.provides) {
      try SocketFiles.makeFolder(for: socket.path)
      try SocketFiles.clear(socket.path, kind: socket.kind)
    }
    do {
      waiter = try SocketWaiter(loop: loop)
      var parts: [SupervisedPart] = []
      for part in plan.parts {
        parts.append(SupervisedPart(part, try OutputRelay(loop: loop) { emit(part.name, $0) }))
      }
      self.parts = parts
    } catch {
      throw .system(error)
    }
  }

  /// Groups for the parts whose memory is limited, where the system lets this process have some.
  private static func groups(for plan: UpPlan, _ logger: Logger) -> ControlGroups? {
    guard plan.parts.contains(where: { $0.memoryMaximum != nil }) else { return nil }
    do throws(SystemError) {
      return try ControlGroups()
    } catch {
      logger.info("no control groups; cards limit their memory themselves", metadata: ["reason": "\(error)"])
      return nil
    }
  }

  /// Starts every part, each once the socket that it needs is there.
  public func start() {
    for part in parts { prepare(part) }
  }

  /// Ends every part: SIGTERM, and SIGKILL for what is there 3 s later. Calls `completion` when all have ended. A second
  /// call does not wait any longer.
  public func stop(_ completion: @escaping () -> Void) {
    let isSecond = isStopping
    whenStopped = completion
    for part in parts {
      if let timer = part.timer { loop.cancel(timer) }
      part.child?.signal(isSecond ? SIGKILL : SIGTERM)
    }
    if !isSecond { loop.schedule(after: patience) { [weak self] in self?.killRemaining() } }
    loop.afterEvents { [weak self] in self?.finishIfStopped() }
  }

  /// Takes another plan of the same parts over: what dies is started as that says. The parts that run are told nothing.
  public func update(_ plan: UpPlan) {
    for part in parts {
      if let new = plan.parts.first(where: { $0.name == part.plan.name }) { part.plan.command = new.command }
    }
  }

  /// Sends a signal to a part that runs; one that does not is left alone.
  public func signal(_ number: Int32, to name: String) {
    parts.first { $0.plan.name == name }?.child?.signal(number)
  }

  /// The process ids of the parts that run, by name.
  public var running: [String: Int32] {
    Dictionary(parts.compactMap { part in part.child.map { (part.plan.name, $0.pid) } }) { first, _ in first }
  }

  private var isStopping: Bool { whenStopped != nil }

  // MARK: Starting

  private func prepare(_ part: SupervisedPart) {
    part.timer = nil
    guard let socket = part.plan.needs else { return start(part) }
    part.timer = loop.schedule(after: Self.quietWait) { [logger] in
      part.timer = nil
      logger.warning("waiting for a socket", metadata: ["part": "\(part.plan.name)", "socket": "\(socket)"])
    }
    do {
      try waiter.wait(for: socket) { [weak self] in
        if let timer = part.timer { self?.loop.cancel(timer) }
        self?.start(part)
      }
    } catch {
      logger.error("cannot wait for a socket", metadata: ["part": "\(part.plan.name)", "error": "\(error)"])
      start(part)
    }
  }

  private func start(_ part: SupervisedPart) {
    part.timer = nil
    guard !isStopping else { return }
    do {
      let child = try ChildProcess(part.plan.command, output: part.relay.input.raw)
      part.child = child
      limit(part, child)
      part.token = try loop.watch(child.descriptor.raw, for: .readable) { [weak self] _ in self?.ended(part) }
      logger.info("started", metadata: ["part": "\(part.plan.name)", "pid": "\(child.pid)"])
    } catch {
      logger.error("cannot start", metadata: ["part": "\(part.plan.name)", "error": "\(error)"])
      if part.plan.restarts { startLater(part, after: .zero) }
    }
  }

  /// Puts a process whose memory is limited into its group.
  private func limit(_ part: SupervisedPart, _ child: ChildProcess) {
    guard let groups, let most = part.plan.memoryMaximum else { return }
    do throws(SystemError) {
      if part.group == nil { part.group = try groups.make(part.plan.name, memory: most) }
      try part.group?.add(child.pid)
    } catch {
      logger.warning("memory not limited", metadata: ["part": "\(part.plan.name)", "reason": "\(error)"])
    }
  }

  private func startLater(_ part: SupervisedPart, after life: Duration) {
    let delay = part.delay.next(after: life)
    logger.info(
      "starts again", metadata: ["part": "\(part.plan.name)", "in": "\(delay.nanoseconds / 1_000_000) ms"])
    part.timer = loop.schedule(after: delay) { [weak self] in self?.prepare(part) }
  }

  // MARK: Ending

  private func ended(_ part: SupervisedPart) {
    guard let child = part.child, let end = child.reap() else { return }
    if let token = part.token { loop.unwatch(token) }
    part.child = nil
    part.token = nil
    part.relay.finish()
    if let socket = part.plan.provides, SocketFiles.exists(socket.path) { unlink(socket.path) }
    log(part, end)
    if isStopping {
      finishIfStopped()
    } else if part.plan.restarts {
      startLater(part, after: MonotonicTime.now - child.startTime)
    }
  }

  private func log(_ part: SupervisedPart, _ end: ChildEnd) {
    let isExpected = isStopping || !part.plan.restarts && end == .exited(0)
    logger.log(
      level: isExpected ? .info : .warning, "ended", metadata: ["part": "\(part.plan.name)", "how": "\(end)"])
  }

  private func killRemaining() {
    for part in parts {
      guard let child = part.child else { continue }
      logger.warning("does not end; killed", metadata: ["part": "\(part.plan.name)", "pid": "\(child.pid)"])
      child.signal(SIGKILL)
    }
  }

  private func finishIfStopped() {
    guard let completion = whenStopped, parts.allSatisfy({ $0.child == nil }) else { return }
    whenStopped = {}
    groups?.remove()
    lock.release()
    completion()
  }
}

/// A part of the plan and its process.
private final class SupervisedPart {
  var plan: PartPlan
  let relay: OutputRelay
  var child: ChildProcess?
  var group: ControlGroup?
  var token: EventLoop.Token?
  /// The next start, or the remark that the part still waits.
  var timer: EventLoop.TimerToken?
  var delay = RestartDelay()

  init(_ plan: PartPlan, _ relay: OutputRelay) {
    self.plan = plan
    self.relay = relay
  }
}
