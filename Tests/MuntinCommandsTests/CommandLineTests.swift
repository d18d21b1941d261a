import Glibc
import Platform
import Rendering
import TestSupport
import Testing

@testable import MuntinCommands

@Suite struct CommandLineTests {
  /// Wrong command lines: what they lack is said, with exit code 64.
  @Test(arguments: [
    (["gpu"], "give either --socket-path PATH or --fd NUMBER"),
    (["gpu", "--socket-path", "/tmp/x", "--fd", "0"], "NUMBER, not both"),
    (["gpu", "--fd", "77"], "descriptor 77 is not open"),
    (["gpu", "--fd", "x"], "give the number of an open socket"),
    (["gpu", "--socket-path", "/tmp/x", "--render-node", "/dev/dri/renderD128"], "no effect without --virgl"),
    (["gpu", "--socket-path", "/tmp/x", "--virgl", "--hang-seconds", "0"], "1 to 3600 seconds"),
    (["gpu", "--socket-path", "/tmp/x", "--size", "0x0"], "32 to 8192 each, such as 1280x800"),
    (["gpu", "--socket-path", "/tmp/x", "--memory-limit", "lots"], "such as 512K, 256M or 1GiB"),
    (["gpu", "--socket-path", "/tmp/x", "--allocate", "both"], "guest or host"),
    (["gpu", "--socket-path", "/tmp/x", "--heap", "a/b"], "a file in /dev/dma_heap, such as"),
    (["gpu", "--socket-path", "/tmp/x", "--host-visible", "2T"], "0 or an amount up to 1T"),
    (["gpu", "--socket-path", "/tmp/x", "--blob-alignment", "8K"], "4K, 16K or 64K"),
    (["gpu", "--socket-path", "/tmp/x", "--channel", "wayland"], "give hub"),
    (["gpu", "--socket-path", "/tmp/x", "--channel", "hub"], "needs --hub PATH"),
    (["gpu", "--socket-path", "/tmp/x", "--share-displays"], "needs --channel hub"),
    (["grant", "vm:a", "vm:b", "--display", "0", "--name", "x"], "give one of --name, --id and --display"),
    (["grant", "vm:a", "vm:b", "--display", "16"], "displays are 0 to 15"),
    (["grant", "application:a", "vm:b", "--display", "0"], "is for one virtual machine"),
    (["grant", "vm:a", "vm:b", "--display", "0", "--access", "read-write"], "can be read only"),
    (
      ["gpu", "--socket-path", "/tmp/x", "--hub", "/tmp/h", "--channel", "hub", "--host-visible", "0"],
      "leave out --host-visible 0"
    ),
    (
      ["gpu", "--socket-path", "/tmp/x", "--wayland", "/tmp/w", "--host-visible", "0"],
      "--wayland needs a host-visible region"
    ),
    (["gpu", "--socket-path", "/tmp/x", "--venus", "--host-visible", "0"], "--venus needs a host-visible region"),
    (["gpu", "--socket-path", "/tmp/x", "--wayland", ""], "a socket's path has 1 to 107 bytes"),
    (["gpu", "--socket-path", "/tmp/x", "--vm", ""], "a name has 1 to 63 bytes"),
    (["gpu", "--socket-path", ""], "a socket's path has 1 to 107 bytes"),
    (
      ["gpu", "--socket-path", "/tmp/x"] + Array(repeating: ["--size", "640x480"], count: 17).flatMap { $0 },
      "17 screens"
    ),
    (["hub", "--socket-path", String(repeating: "a", count: 108)], "has 108; choose a shorter one"),
    (["compositor", "--output", "window"], "unknown output \"window\""),
    (["compositor", "--refresh", "0"], "give 1 to 240 frames a second"),
    (["compositor", "--vnc-password-file", "x"], "no effect on --output headless"),
    (["list", "everything"], "everything"),
    (["list"], "what"),
    (["up"], "file.toml"),
    (["nonsense"], "nonsense"),
    (["hub", "--log-level", "loud"], "loud"),
  ])
  func aWrongCommandLineIsRefused(arguments: [String], message: String) throws {
    let result = try Program(arguments).wait()
    #expect(result.code == 64, "\(result)")
    #expect(result.errors.contains(message), "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  @Test(arguments: ["", "gpu", "hub", "compositor", "up", "list", "screenshot", "qemu-arguments", "doctor"])
  func helpTellsEnoughToWorkFrom(command: String) throws {
    let result = try Program((command.isEmpty ? [] : [command]) + ["--help"]).wait()
    #expect(result.code == 0)
    #expect(result.output.contains("OVERVIEW") && result.output.contains("USAGE"))
    #expect(result.output.contains("EXAMPLES") || command == "doctor")
    #expect(result.output.count > 600)
  }

  @Test func theVersionIsPrinted() throws {
    #expect(try Program.run("--version").output == "\(MuntinCommand.version)\n")
  }

  @Test(.enabled(if: VirglTrial.isThere, "libvirglrenderer is not installed"))
  func aRenderNodeThatIsNotThereIsNamed() throws {
    let result = try Program.run("gpu", "--socket-path", "/tmp/x", "--virgl", "--render-node", "/nonexistent/node")
    #expect(result.code == 1)
    #expect(result.errors.contains("render node /nonexistent/node cannot be opened (errno 2)"))
  }

  @Test func theCapabilitiesNameOnlyWhatWorks() throws {
    let result = try Program.run("gpu", "--print-capabilities")
    #expect(result.code == 0)
    let features = VirglTrial.isThere ? "\"render-node\",\"virgl\"" : ""
    #expect(result.output == "{\"type\":\"gpu\",\"features\":[\(features)]}\n")
  }

  @Test(arguments: [["list", "vms"], ["screenshot", "/tmp/x.png"], ["qemu-arguments", "alpha"]])
  func aHubThatIsNotThereIsNamed(arguments: [String]) throws {
    let result = try Program(arguments, environment: ["MUNTIN_HUB=/nonexistent/hub.sock"]).wait()
    #expect(result.code == 1)
    #expect(
      result.errors.hasPrefix("Error: no hub at /nonexistent/hub.sock (connect /nonexistent/hub.sock: No such file"))
    #expect(result.errors.contains("start `muntin hub`"))
    #expect(result.errors.split(separator: "\n").count == 1)
  }

  @Test func theHubIsLookedForInTheRuntimeFolder() throws {
    let result = try Program(["list", "vms"], environment: ["XDG_RUNTIME_DIR=/nonexistent"]).wait()
    #expect(result.errors.contains("no hub at /nonexistent/muntin/hub.sock"))
    let given = try Program(["list", "vms", "--hub", "/nonexistent/given"], environment: ["MUNTIN_HUB=/x"]).wait()
    #expect(given.errors.contains("no hub at /nonexistent/given"))
  }

  @Test func doctorTellsWhatItFound() throws {
    let result = try Program.run("doctor")
    #expect(result.code == 0)
    for check in [
      "memory-files", "sandbox", "kvm", "udmabuf", "dma-heaps", "gbm", "render-nodes", "open-files", "opengl", "vulkan",
      "libraries",
      "qemu",
    ] {
      #expect(result.output.contains(check))
    }
    let json = try Program.run("doctor", "--json")
    #expect(json.output.hasPrefix("[\n  {\"check\":\"memory-files\",\"state\":\"ok\",\"found\":"))
  }

  @Test func doctorLooksForTheCompositorsThatAConfigurationNames() throws {
    let folder = try ScratchFolder()
    let file = try folder.write(
      "machines.toml",
      """
      [[display]]
      name = "wall"
      size = "320x200"
      output = "headless"
      [[vm]]
      name = "a"
      socket = "a.sock"
      wayland = "wayland-0"
      [[vm.scanout]]
      width = 320
      height = 200
      """)
    let absent = try Program.run("doctor", file, "--json")
    let words = "\"check\":\"wayland\",\"state\":"
    #expect(absent.output.contains(words + "\"missing\"") && absent.code == 0)
    let listener = try UnixSocket.listen(path: folder.path + "/wayland-0", kind: .stream)
    #expect(try Program.run("doctor", file, "--json").output.contains(words + "\"ok\""))
    withExtendedLifetime(listener) {}
  }
}

@Suite struct ConfigurationCommandTests {
  private static let configuration = """
    [[display]]
    name = "wall"
    size = "1280x480"
    output = "headless"
    [[vm]]
    name = "alpha"
    socket = "a,b's.sock"
    [[vm.scanout]]
    display = "wall"
    x = 0
    y = 0
    width = 640
    height = 480
    [[vm.scanout]]
    display = "wall"
    x = 640
    y = 0
    width = 640
    height = 480
    """

  @Test func aRightConfigurationIsCalledRight() throws {
    let folder = try ScratchFolder()
    let file = try folder.write("c.toml", Self.configuration)
    let result = try Program.run("up", "--check", file)
    #expect(result.code == 0)
    #expect(result.output == "\(file): right (displays: 1, VMs: 1)\n")
  }

  @Test(arguments: [["up"], ["up", "--check"], ["hub", "--config"]])
  func aWrongConfigurationIsRefusedAtItsLine(arguments: [String]) throws {
    let folder = try ScratchFolder()
    let file = try folder.write("c.toml", Self.configuration + "\nheigth = 3")
    let result = try Program(arguments + [file]).wait()
    #expect(result.code == 1)
    #expect(result.errors == "Error: \(file):20: [[vm.scanout]] has no key \"heigth\"; did you mean \"height\"?\n")
  }

  @Test func theArgumentsOfAMachineStandOnOneLineForAShell() throws {
    let folder = try ScratchFolder()
    let file = try folder.write("c.toml", Self.configuration)
    let result = try Program.run("qemu-arguments", "alpha", "--config", file, "--memory", "2048M")
    #expect(
      result.output == """
        -m 2G -object memory-backend-memfd,id=muntin-memory,size=2G,share=on -machine memory-backend=muntin-memory \
        -vga none -display none -chardev 'socket,id=muntin-gpu,path=\(folder.path)/a,,b'\\''s.sock' \
        -device vhost-user-gpu-pci,chardev=muntin-gpu,max_outputs=2\n
        """)
  }

  @Test func theGenericDeviceIsDescribed() throws {
    let folder = try ScratchFolder()
    let file = try folder.write("c.toml", Self.configuration)
    let result = try Program.run("qemu-arguments", "alpha", "--generic", "--config", file)
    #expect(
      result.output.hasSuffix(
        "-device vhost-user-test-device-pci,chardev=muntin-gpu,virtio-id=16,num_vqs=2,config_size=20,vq_size=256\n"))
  }

  @Test func aMachineThatTheConfigurationLacksIsRefused() throws {
    let folder = try ScratchFolder()
    let file = try folder.write("c.toml", Self.configuration)
    let result = try Program.run("qemu-arguments", "beta", "--config", file)
    #expect(result.code == 1)
    #expect(result.errors == "Error: \(file) has no VM \"beta\"; it has \"alpha\"\n")
  }

  @Test(arguments: ["side-by-side", "compositor-vm", "every-key"])
  func theExamplesAreRight(name: String) throws {
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    #expect(try Program.run("up", "--check", "\(root)/Examples/\(name).toml").code == 0)
  }
}

/// Whether there is anything to try 3D with.
enum VirglTrial {
  static let isThere = (try? VirglLibrary()) != nil
}
