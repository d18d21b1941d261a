import ArgumentParser
import HubProtocol
import TestSupport
import Testing

@testable import MuntinGuest

@Suite struct CommandLineTests {
  private static let id = "159e5eae-821d-4fd2-98f3-1a797ae3a821"

  @Test(arguments: [
    (["export", "a", "--size", "64x64"], "give one of --pattern, --png FILE and --raw FILE"),
    (["export", "a", "--size", "64x64", "--pattern", "--raw", "b"], "give one of --pattern"),
    (["export", "a", "--pattern"], "--size"),
    (["export", "a", "--pattern", "--size", "64x64", "--allocate", "both"], "give guest or host"),
    (["export", "a", "--pattern", "--size", "64"], "give WIDTHxHEIGHT"),
    (["export", "a", "--pattern", "--size", "64x0"], "give WIDTHxHEIGHT"),
    (["export", "a", "--pattern", "--size", "16385x1"], "give WIDTHxHEIGHT"),
    (["export", "a", "--pattern", "--size", "64x64", "--format", "NV12"], "give XRGB8888"),
    (["export", "", "--pattern", "--size", "64x64"], "a name has 1 to 63 bytes"),
    (["export", "a", "--pattern", "--size", "64x64", "--property", "b"], "give NAME=VALUE"),
    (["export", "a", "--pattern", "--size", "64x64", "--property", "b=1", "--property", "b=2"], "different names"),
    (["export", "a", "--pattern", "--size", "64x64", "--frames", "0"], "at least 1"),
    (["export", "a", "--raw", "b", "--size", "64x64", "--frames", "2"], "--frames goes with --pattern"),
    (["export", "a", "--pattern", "--size", "64x64", "--rate", "0"], "give frames a second"),
    (["import", "a"], "give --png FILE, --raw FILE or --follow COMMAND"),
    (["import", "a", "--png", "b", "--raw", "c"], "give one of --png and --raw"),
    (["import", id, "--owner", "b", "--raw", "c"], "--owner goes with a name"),
    (["import", "a", "--raw", "c", "--access", "write"], "give read or read-write"),
    (["show", "a"], "give one of --kms and --wayland"),
    (["show", "a", "--kms", "--wayland"], "give one of --kms and --wayland"),
    (["show", "a", "--kms", "--fullscreen"], "go with --wayland"),
    (["show", "ivi:0", "--kms", "--access", "read-write"], "a screen can be read only"),
    (["share-display", "16", "dash"], "displays are 0 to 15"),
    (["share-display", "0", ""], "a name has 1 to 63 bytes"),
    (["nonsense"], "nonsense"),
  ])
  func aWrongCommandLineIsRefused(arguments: [String], message: String) {
    #expect(throws: (any Error).self) { try GuestCommand.parseAsRoot(arguments) }
    do {
      _ = try GuestCommand.parseAsRoot(arguments)
    } catch {
      #expect(GuestCommand.fullMessage(for: error).contains(message), "\(GuestCommand.fullMessage(for: error))")
      #expect(GuestCommand.exitCode(for: error).rawValue == 64)
    }
  }

  @Test(arguments: [
    ("ivi:0", "ivi:0"), ("a:b:15", "a:b:15"), ("ivi:16", "\"ivi:16\""), ("ivi", "\"ivi\""), (":1", "\":1\""),
    ("ivi:+1", "\"ivi:+1\""), (id, id),
  ])
  func aVirtualMachineAndANumberAreAScreen(text: String, name: String) throws {
    let command = try #require(try GuestCommand.parseAsRoot(["import", text, "--png", "x"]) as? GuestImportCommand)
    #expect("\(try command.buffer.name)" == name)
    guard text != Self.id else { return }
    let owned = try GuestCommand.parseAsRoot(["import", text, "--owner", "dash", "--png", "x"]) as? GuestImportCommand
    #expect("\(try #require(owned).buffer.name)" == "\"\(text)\" of vm:dash")
  }

  @Test func anOwnerIsAVirtualMachineUnlessItSaysOtherwise() throws {
    #expect("\(try GuestArgument.owner("ivi"))" == "vm:ivi")
    #expect("\(try GuestArgument.owner("application:camera"))" == "application:camera")
  }

  @Test func aPropertysValueMayHoldAnEqualsSign() throws {
    let property = try GuestArgument.property("a=b=c")
    #expect(property.name == "a" && property.value == "b=c")
  }

  @Test func aFolderWithoutCardsIsSaidToHaveNone() throws {
    let folder = try ScratchFolder()
    #expect(throws: GuestError.noCard) { try GraphicsCard.open(nil, folder: folder.path) }
  }

  @Test func aFileThatIsNoCardIsNamed() {
    #expect(throws: GuestError.notACard("/dev/null")) { try GraphicsCard.open("/dev/null") }
    #expect(throws: GuestError.notACard("/nothing/here")) { try GraphicsCard.open("/nothing/here") }
  }
}
