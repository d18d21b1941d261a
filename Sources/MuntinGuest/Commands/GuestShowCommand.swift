import ArgumentParser
import Buffers
import Glibc
import HubProtocol
import Platform
import WaylandClient

/// `muntin-guest show`.
struct GuestShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Shows a buffer, or a screen, of another virtual machine or program in this one, as it changes.",
    discussion: """
      With --kms it is shown on a screen of this machine's card: the screen shows the buffer's own memory, without a copy \
      where the right is read-write; it has to offer a mode of the buffer's size. No other program of this virtual \
      machine may use the screen meanwhile.

      With --wayland it is a window of the compositor that runs in this machine: by linux-dmabuf where the compositor can \
      use the memory, else by wl_shm and a copy of what has changed. The first line of output says which, and why. It \
      ends with status 0 when the window is closed.

      EXAMPLES
        muntin-guest show clock --owner ivi --kms
        muntin-guest show ivi:0 --kms
        muntin-guest show clock --owner ivi --wayland --fullscreen
      """
  )

  @OptionGroup var buffer: BufferOptions

  @Flag(help: "Show it by the kernel's mode setting.")
  var kms = false

  @Flag(help: "Show it as a window.")
  var wayland = false

  @Option(help: ArgumentHelp("With --kms: which screen of the card.", valueName: "number"))
  var screen = 0

  @OptionGroup var window: WindowOptions
  @OptionGroup var card: CardOptions

  func validate() throws {
    guard kms != wayland else { throw ValidationError("give one of --kms and --wayland") }
    guard wayland || !window.isGiven else {
      throw ValidationError("--title, --app-id, --fullscreen and --shm go with --wayland")
    }
  }

  func run() throws {
    try wayland ? showWindow() : showScreen()
  }

  private func acquire() throws -> Importer {
    try Importer(try buffer.name, access: buffer.access, keeps: true, try card.connect(withScreens: kms))
  }

  private func showScreen() throws {
    var importer = try acquire()
    var shown: Screen?
    while true {
      do throws(GuestError) {
        _ = try importer.waitForWholePicture()
        // The former picture, black now, stays until this one is there.
        shown = try importer.show(on: screen)
        try importer.done()
        while true { try update(shown, importer) }
      } catch {
        importer = try importer.again(after: error)
      }
    }
  }

  private func update(_ screen: Screen?, _ importer: Importer) throws(GuestError) {
    guard let update = try importer.nextUpdate(until: .now + .seconds(3600)) else { return }
    try screen?.show(update)
    try importer.done()
  }

  private func showWindow() throws {
    let window = try Window(try acquire(), window.identity, mustCopy: window.shm)
    var isOpen = true
    while isOpen {
      print(window.reasonToCopy.map { "shown by wl_shm: \($0)" } ?? "shown by linux-dmabuf")
      fflush(nil)
      do throws(GuestError) {
        try window.run()
        isOpen = false
      } catch {
        isOpen = try window.begin(anewAfter: error)
      }
    }
  }
}

/// What a window is like.
struct WindowOptions: ParsableArguments {
  static let defaultAppID = "muntin-guest"

  @Option(
    help: ArgumentHelp(
      "With --wayland: the window's title.", discussion: "Default: OWNER:NAME, of a screen VM:NUMBER.",
      valueName: "text"))
  var title: String?

  @Option(
    help: ArgumentHelp(
      "With --wayland: the name by which the compositor's configuration knows the window.",
      discussion: "Default: \(defaultAppID). Weston's kiosk shell puts a window on the screen whose app-ids has it.",
      valueName: "name"))
  var appID: String?

  @Flag(help: "With --wayland: ask for a whole screen. A smaller picture is in its middle.")
  var fullscreen = false

  @Flag(help: "With --wayland: copy by wl_shm, even where linux-dmabuf would do.")
  var shm = false

  /// Whether any of them was given.
  var isGiven: Bool { title != nil || appID != nil || fullscreen || shm }

  /// What the window of a buffer says of itself.
  func identity(_ info: BufferInfo) -> WaylandWindow.Identity {
    let display = info.properties.first { $0.name == "display" }?.value
    let name = info.name?.text ?? display ?? "\(info.buffer.id)"
    return WaylandWindow.Identity(
      title: title ?? "\(info.owner.name):\(name)", appID: appID ?? Self.defaultAppID, isFullscreen: fullscreen)
  }
}
