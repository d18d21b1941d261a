import Glibc
import Supervisor
import TestSupport
import Testing

/// `muntin up` with its real parts.
@Suite(.serialized) struct UpTests {
  private let folder: ScratchFolder
  private let file: String
  private var hub: String { "\(folder.path)/hub.sock" }

  private static let text = """
    [hub]
    socket = "hub.sock"
    [[display]]
    name = "wall"
    size = "320x200"
    output = "headless"
    [[vm]]
    name = "alpha"
    socket = "alpha.sock"
    command = ["sh", "-c", "echo $MUNTIN_VM at $MUNTIN_SOCKET in $PWD; exec sleep 1000"]
    [[vm.scanout]]
    display = "wall"
    x = 0
    y = 0
    width = 320
    height = 200
    """

  init() throws {
    folder = try ScratchFolder()
    file = try folder.write("c.toml", Self.text)
  }

  /// Runs the configuration until everything in it is there.
  private func started() throws -> Program {
    let program = try Program(["up", file])
    let isThere = try eventually {
      let vms = try Program.run("list", "vms", "--hub", hub, "--json").output
      let displays = try Program.run("list", "displays", "--hub", hub, "--json").output
      return vms.contains("\"state\":\"offline\"") && displays.contains("\"frame\":true")
        && program.errorsSoFar.contains("[vm alpha]")
    }
    #expect(isThere, "\(program.errorsSoFar)")
    return program
  }

  /// The direct children of a process.
  private func children(of pid: Int32) -> [Int32] {
    let text = (try? Self.text("/proc/\(pid)/task/\(pid)/children")) ?? ""
    return text.split(separator: " ").compactMap { Int32($0) }
  }

  private static func text(_ path: String) throws -> String {
    String(decoding: try TextFile.read(path, limit: 1 << 16), as: UTF8.self)
  }

  private func isGone(_ pid: Int32) -> Bool {
    kill(pid, 0) < 0 || ((try? Program.readLink("/proc/\(pid)/exe")) == nil)
  }

  @Test func itRunsEveryPartAndEndsThemAtASignal() throws {
    let program = try started()
    #expect(program.errorsSoFar.contains("[vm alpha] alpha at \(folder.path)/alpha.sock in \(folder.path)\n"))
    let parts = children(of: program.pid)
    #expect(parts.count == 4)
    let picture = "\(folder.path)/wall.png"
    let screenshot = try Program.run("screenshot", "--hub", hub, picture)
    #expect(screenshot.code == 0, "\(screenshot.errors)")
    #expect(access(picture, F_OK) == 0)
    let unknown = try Program.run("screenshot", "--hub", hub, "--display", "nowhere", picture)
    #expect(unknown.code == 1)
    #expect(unknown.errors.contains("`muntin list displays` shows which there are"), "\(unknown.errors)")
    program.signal(SIGTERM)
    let result = program.wait()
    #expect(result.code == 0)
    #expect(parts.allSatisfy(isGone))
    #expect(access(hub, F_OK) < 0 && access("\(folder.path)/alpha.sock", F_OK) < 0)
    #expect(access("\(hub).up", F_OK) < 0)
  }

  @Test func aSecondOneForTheSameHubSaysWhoRunsIt() throws {
    let program = try started()
    let second = try Program.run("up", file)
    #expect(second.code == 1)
    #expect(second.errors.hasPrefix("Error: another `muntin up` (process \(program.pid)) runs the hub at \(hub); "))
    program.signal(SIGINT)
    #expect(program.wait().code == 0)
  }

  @Test func itsPartsDieWithItEvenWhenItIsKilled() throws {
    let program = try started()
    let parts = children(of: program.pid)
    #expect(parts.count == 4)
    program.signal(SIGKILL)
    #expect(program.wait().code == -SIGKILL)
    #expect(eventually { parts.allSatisfy(isGone) })
  }

  @Test func aHubThatDiesComesBackAndSoDoItsPeers() throws {
    let program = try started()
    let old = try #require(hubProcess(of: program))
    kill(old, SIGKILL)
    let isBack = try eventually {
      let vms = try Program.run("list", "vms", "--hub", hub, "--json").output
      let displays = try Program.run("list", "displays", "--hub", hub, "--json").output
      return hubProcess(of: program) != old && vms.contains("\"state\":\"offline\"")
        && displays.contains("\"frame\":true")
    }
    #expect(isBack, "\(program.errorsSoFar)")
    #expect(program.errorsSoFar.contains("ended how=\"signal 9 (Killed)\" part=hub"))
    program.signal(SIGTERM)
    #expect(program.wait().code == 0)
  }

  private func mode() throws -> String? {
    let list = try Program.run("list", "vms", "--hub", hub, "--json").output
    return ["320x200", "300x180", "200x100"].first { list.contains("\"mode\":\"\($0)\"") }
  }

  @Test func sighupMovesAndResizesScreensWhileEverythingRuns() throws {
    let program = try started()
    let parts = children(of: program.pid)
    #expect(try mode() == "320x200")
    _ = try folder.write("c.toml", Self.text.replacing("320\nheight = 200", with: "300\nheight = 180"))
    program.signal(SIGHUP)
    #expect(try eventually { try mode() == "300x180" }, "\(program.errorsSoFar)")
    #expect(children(of: program.pid) == parts)
    let gpu = try #require(parts.first { (try? Self.text("/proc/\($0)/cmdline"))?.hasPrefix("muntin\0gpu\0") ?? false })
    kill(gpu, SIGKILL)
    let isStartedSo = eventually {
      children(of: program.pid).contains { (try? Self.text("/proc/\($0)/cmdline"))?.contains("300x180") ?? false }
    }
    #expect(isStartedSo, "\(program.errorsSoFar)")
    program.signal(SIGTERM)
    #expect(program.wait().code == 0)
  }

  @Test func aFileThatIsWrongOrChangesMoreChangesNothingAtSighup() throws {
    let program = try started()
    let parts = children(of: program.pid)
    let smaller = Self.text.replacing("320\nheight = 200", with: "200\nheight = 100")
    for (text, reason) in [
      (smaller + "\nheigth = 3", "c.toml:17: [[vm.scanout]] has no key"),
      (smaller.replacing("alpha.sock", with: "beta.sock"), "VM \\\"alpha\\\" is another; only screens can change"),
    ] {
      _ = try folder.write("c.toml", text)
      program.signal(SIGHUP)
      #expect(eventually { program.errorsSoFar.contains(reason) }, "\(program.errorsSoFar)")
    }
    #expect(try mode() == "320x200")
    #expect(children(of: program.pid) == parts)
    program.signal(SIGTERM)
    #expect(program.wait().code == 0)
  }

  private func hubProcess(of program: Program) -> Int32? {
    children(of: program.pid).first { (try? Self.text("/proc/\($0)/cmdline"))?.hasPrefix("muntin\0hub\0") ?? false }
  }
}
