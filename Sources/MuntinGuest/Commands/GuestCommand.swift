import ArgumentParser
import Buffers
import Glibc
import HubProtocol

/// The `muntin-guest` program.
public struct GuestCommand: ParsableCommand {
  /// What it is called and what it can do.
  public static let configuration = CommandConfiguration(
    commandName: "muntin-guest",
    abstract: "Gives pictures of this virtual machine to others, and uses theirs.",
    discussion: """
      Runs in a virtual machine whose graphics card is `muntin gpu --channel hub`, under a VMM that hands all of its \
      features through (QEMU 11's generic vhost-user device). Who may use what is said on the host: `muntin grant`.

      EXAMPLES
        muntin-guest list
        muntin-guest export clock --size 640x400 --pattern
        muntin-guest import clock --png clock.png
        muntin-guest show ivi:0 --kms
        muntin-guest import clock --raw /run/clock --follow 'echo $MUNTIN_GENERATION'
      """,
    subcommands: [
      GuestListCommand.self, GuestExportCommand.self, GuestImportCommand.self, GuestShowCommand.self,
      GuestShareDisplayCommand.self,
    ]
  )

  /// For the argument parser.
  public init() {}

  /// Runs what the command line says; ends the process where that is wrong or fails.
  public static func runCommandLine() {
    main()
  }
}

/// Which card.
struct CardOptions: ParsableArguments {
  @Option(
    name: .customLong("card"),
    help: ArgumentHelp(
      "The virtio-gpu to use.", discussion: "Default: the first in /dev/dri that has a channel to a hub.",
      valueName: "path"))
  var path: String?

  /// A conversation with the hub.
  func connect(withScreens: Bool = false) throws(GuestError) -> Conversation {
    try Conversation(try GraphicsCard.open(path, withScreens: withScreens))
  }
}

/// Which buffer of others.
struct BufferOptions: ParsableArguments {
  @Argument(
    help: ArgumentHelp(
      "The buffer's name, or its id; or VM:NUMBER, what that screen of the VM shows.",
      discussion: "With --owner it is a name, whatever it looks like.", valueName: "name"))
  var text: String

  @Option(
    help: ArgumentHelp("Whose it is: a virtual machine, or application:NAME.", valueName: "owner"),
    transform: GuestArgument.owner)
  var owner: Party?

  @Option(
    help: ArgumentHelp(
      "read or read-write.", discussion: "With read-write nothing is copied: it is the owner's own memory.",
      valueName: "access"), transform: GuestArgument.access)
  var access = BufferAccess.read

  func validate() throws {
    guard owner == nil || BufferID(text) == nil else {
      throw ValidationError("--owner goes with a name, not with an id")
    }
    if case .screen = try name, access != .read { throw ValidationError("a screen can be read only") }
  }

  /// What it is called.
  var name: BufferName {
    get throws {
      if let id = BufferID(text) { return .id(id) }
      if owner == nil, let screen = ScreenKey(text) { return .screen(screen) }
      return .name(try GuestArgument.name(text), owner: owner)
    }
  }
}

/// Reads the values of options. Errors say what is expected.
enum GuestArgument {
  static func size(_ text: String) throws -> Size {
    let extents: ClosedRange<UInt32> = 1...16_384
    let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { UInt32($0) }
    guard parts.count == 2, let width = parts[0], let height = parts[1], extents.contains(width),
      extents.contains(height)
    else { throw ValidationError("give WIDTHxHEIGHT with 1 to 16384 each, such as 640x400") }
    return Size(width: width, height: height)
  }

  static func format(_ text: String) throws -> PixelFormat {
    guard let format = PixelFormat(name: text) else {
      throw ValidationError(
        "give XRGB8888, ARGB8888, or another order of these letters that DRM has (XBGR8888, RGBX8888 ...)")
    }
    return format
  }

  static func name(_ text: String) throws -> PeerName {
    guard let name = PeerName(text) else {
      throw ValidationError("a name has 1 to \(PeerName.maximumByteCount) bytes and no control characters")
    }
    return name
  }

  static func property(_ text: String) throws -> BufferProperty {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, let property = BufferProperty(parts[0], parts[1]) else {
      throw ValidationError("give NAME=VALUE, a name of 1 to 31 bytes and a value of at most 95")
    }
    return property
  }

  static func access(_ text: String) throws -> BufferAccess {
    guard let access = BufferAccess(text) else { throw ValidationError("give read or read-write") }
    return access
  }

  static func allocation(_ text: String) throws -> AllocationSide {
    guard let side = AllocationSide(text) else { throw ValidationError("give guest or host") }
    return side
  }

  /// A VM by its name alone, or any party.
  static func owner(_ text: String) throws -> Party {
    guard let party = Party(text) else { throw ValidationError("give \(Party.expectation)") }
    return party
  }

  static func seconds(_ text: String) throws -> Double {
    guard let seconds = Double(text), seconds >= 0, seconds <= 3600 else {
      throw ValidationError("give seconds, 0 to 3600")
    }
    return seconds
  }

  static func rate(_ text: String) throws -> Double {
    guard let rate = Double(text), rate >= 0.01, rate <= 1000 else {
      throw ValidationError("give frames a second, 0.01 to 1000")
    }
    return rate
  }
}

/// A line for people beside the output.
enum Warning {
  static func print(_ text: String) {
    let line = Array("Warning: \(text)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
  }
}
