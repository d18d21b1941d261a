import Buffers
import HubProtocol
import Platform
import WaylandClient

/// Why a program in a guest cannot do what it was asked to: what was wrong, where, and what to do.
public enum GuestError: Error, Equatable, Sendable, CustomStringConvertible {
  /// This VM has no virtio-gpu.
  case noCard
  /// A file that is no virtio-gpu, or does not exist.
  case notACard(String)
  /// A card whose host gives no channel to a hub.
  case noChannel(String)
  /// A card that this user may not open.
  case notPermitted(String)
  /// The kernel refused a request.
  case system(SystemError)
  /// The host gave no memory of that many bytes.
  case noMemory(byteCount: UInt64)
  /// The channel has ended.
  case channelOver
  /// Nobody answers.
  case noAnswer
  /// The hub, or what is between, said what makes no sense.
  case nonsense(String)
  /// The hub declined.
  case refused(Refusal)
  /// A buffer that does not exist, or that this VM may not use.
  case noSuchBuffer(String)
  /// A screen that does not exist, or that this VM may not see.
  case noSuchScreen(ScreenKey)
  /// Several owners have a buffer of that name.
  case ambiguous(String, owners: [Party])
  /// The owner took the buffer back, or is gone.
  case retired
  /// The right to use the buffer has ended.
  case revoked
  /// A picture that its owner drew over while it was read.
  case drawnOver(generation: UInt64)
  /// A file with a picture.
  case picture(path: String, reason: String)
  /// A card whose screens another program uses.
  case screenInUse(String)
  /// A screen that the card does not have.
  case noScreen(Int, count: Int)
  /// A screen without a mode of the picture's size.
  case noMode(Size, offered: [Size])
  /// A format that the card's screens do not show.
  case unshowable(String)
  /// The compositor of this VM shows no window.
  case window(WaylandError)
  /// A command that was to follow updates failed.
  case command(status: Int32)

  /// One line for people.
  public var description: String {
    switch self {
    case .noCard:
      "no virtio-gpu card in /dev/dri; give this VM one (`muntin qemu-arguments VM --generic`), load the driver virtio_gpu"
    case .notACard(let path): "\(path) is no virtio-gpu card; leave --card away to find the right one"
    case .noChannel(let path):
      "\(path) has no channel to a hub; the host must run `muntin gpu --channel hub`, or have channel = \"hub\" "
        + "in the VM's configuration, and QEMU its generic device (QEMU 11)"
    case .notPermitted(let path):
      "no right to open \(path); run as root, or add this user to the file's group (\(Self.usualGroup(of: path)))"
    case .system(let error): "\(error)"
    case .noMemory(let byteCount):
      "the host gave no memory of \(byteCount) bytes; raise memory_limit or host_visible in the VM's configuration"
    case .channelOver: "the host's hub has ended the channel, or there is none; is `muntin hub` running on the host?"
    case .noAnswer: "the hub does not answer; the kernel's log (dmesg) or the host's log may say why"
    case .nonsense(let what): "cannot understand the hub: \(what)"
    case .refused(let refusal): "the hub refused: \(refusal)"
    case .noSuchBuffer(let name):
      "no buffer \(name) that this VM may use; `muntin-guest list` shows those that there are, and on the host "
        + "`muntin grant OWNER vm:THIS` gives the right"
    case .noSuchScreen(let screen):
      "no screen \(screen) that this VM may see; `muntin-guest list` shows those that there are, and on the host "
        + "`muntin grant vm:\(screen.vm) vm:THIS --display \(screen.scanout)` gives the right"
    case .ambiguous(let name, let owners):
      "several have a buffer \(name): \(owners.map(\.description).joined(separator: ", ")); say whose with --owner"
    case .retired: "the buffer's owner took it back, or is gone; its memory reads zeros now"
    case .revoked: "the right to use the buffer was revoked; its memory reads zeros now"
    case .drawnOver(let generation): "generation \(generation) was drawn over while it was read"
    case .picture(let path, let reason): "\(path): \(reason)"
    case .screenInUse(let path): "another program uses the screens of \(path); end it first"
    case .noScreen(let number, let count): "the card has no screen \(number), but \(count), counted from 0"
    case .noMode(let size, let offered):
      "the screen has no mode of \(size); give the VM a scanout of that size on the host. It offers: "
        + (offered.isEmpty ? "nothing, it is off" : offered.prefix(8).map(\.description).joined(separator: ", "))
    case .unshowable(let format): "a screen shows XR24 (XRGB8888) and AR24, not \(format)"
    case .window(let error): "\(error)"
    case .command(let status): "the command ended with status \(status)"
    }
  }

  /// What systems call the group of a card's file.
  private static func usualGroup(of path: String) -> String { path.contains("/card") ? "video" : "render" }
}
