import Buffers
import Platform

/// What `muntin up` runs: displays, virtual machines, and where each machine's screens stand.
public struct Configuration: Equatable, Sendable {
  /// A display: one compositor with one output.
  public struct Display: Equatable, Sendable {
    /// Names it for scanouts and for `muntin screenshot`.
    public var name: String
    /// Its size in pixels.
    public var size: Size
    /// Where its picture goes.
    public var output: DisplayOutput
    /// Frames a second; nil for the compositor's own choice.
    public var refresh: Int?
    /// The file that holds the VNC password.
    public var passwordFile: String?
    /// Whether its compositor may be handed the machines' memory, to show pictures in it without a copy.
    public var seesGuestMemory = true
  }

  /// How a scanout whose mode differs from its area fills it.
  public enum ScaleMode: String, CaseIterable, Sendable {
    /// As large as fits, whole, in its own proportions.
    case fit
    /// As large as the area, cut or stretched as the compositor does for `fill`.
    case fill
    /// Pixel for pixel, cut off at the area's edge.
    case none
  }

  /// One scanout of a machine, placed on a display.
  public struct Scanout: Equatable, Sendable {
    /// The display's name; nil: on none, others may see it by a grant.
    public var display: String?
    /// The place on that display; its size is the mode that the guest is offered.
    public var area: Rectangle
    /// Higher layers cover lower ones.
    public var layer: Int
    /// How another mode fills the area.
    public var scale: ScaleMode
    /// 0 (invisible) to 1.
    public var opacity: Double
  }

  /// What is at the other end of a guest's channels.
  public enum Channel: String, Sendable {
    case hub
  }

  /// How far a card shuts itself in.
  public enum Sandbox: String, CaseIterable, Sendable {
    case on, log, off
  }

  /// A virtual machine: one `muntin gpu`, and the command that runs the machine itself.
  public struct Machine: Equatable, Sendable {
    /// Names it in lists, layouts and logs.
    public var name: String
    /// The vhost-user socket that the machine's VMM connects to.
    public var socket: String
    /// How many bytes of host buffers it may have; nil for the back-end's own limit.
    public var memoryLimit: Int?
    /// Whose memory its pictures are in; nil for the back-end's own choice.
    public var allocation: AllocationSide?
    /// The dma-buf heap, or the node of the graphics driver, that the host's pictures come from; nil: neither.
    public var heap: String?
    /// The size of its host-visible region, 0 for none; nil for the back-end's own.
    public var hostVisible: Int?
    /// What its blobs are multiples of; nil for the back-end's own.
    public var blobAlignment: BlobAlignment?
    /// What programs in its guest may open channels to; nil: nothing.
    public var channel: Channel?
    /// Whether those programs may let other VMs see its screens.
    public var sharesDisplays = false
    /// Whether its VMM maps memory read-only where it is told to.
    public var vmmMapsReadOnly: Bool
    /// The machines whose memory its card may be handed, to copy pictures out of it.
    public var seesMemoryOf: [String]
    /// Whether its guest has OpenGL, and whether Vulkan.
    public var hasVirgl = false, hasVenus = false
    /// The node of the GPU for that; nil: Mesa's software driver.
    public var renderNode: String?
    /// After how many seconds its renderer counts as hung; nil for the back-end's own.
    public var hangSeconds: Int?
    /// The socket of the Wayland compositor in which programs of its guest may have windows; nil: none.
    public var wayland: String?
    /// How far its card shuts itself in: the back-end's words for it; nil for the back-end's own choice.
    public var sandbox: Sandbox?
    /// Other limits, by the words of the ledger's lines (`Ledger.Quantity.key`).
    public var limits: [String: Int]
    /// The program that runs the machine, with its arguments; empty when something else starts it.
    public var command: [String]
    /// Whether the command is started again when it ends.
    public var restart: Bool
    /// Its screens, scanout 0 first.
    public var scanouts: [Scanout]

    /// The same machine with all its screens in one place.
    fileprivate var withoutPlaces: Machine {
      var machine = self
      let nowhere = Scanout(display: nil, area: .empty, layer: 0, scale: .fit, opacity: 1)
      machine.scanouts = Array(repeating: nowhere, count: scanouts.count)
      return machine
    }
  }

  /// A program that offers or acquires buffers.
  public struct Application: Equatable, Sendable {
    /// What it calls itself.
    public var name: String
    /// The only user who may be it; nil: the hub's own and root.
    public var user: UInt32?
    /// How many bytes it may have in buffers that it offers; nil for the hub's own limit.
    public var memoryLimit: Int?
  }

  /// Somebody who owns buffers or uses others'.
  public struct Party: Equatable, Sendable, CustomStringConvertible {
    /// What it is.
    public enum Kind: String, Sendable { case vm, application, display }
    /// What it is.
    public var kind: Kind
    /// Its name among its kind.
    public var name: String

    /// As it stands in the file.
    public var description: String { "\(kind.rawValue):\(name)" }
  }

  /// What may be done with a buffer.
  public enum Access: String, CaseIterable, Sendable {
    case read
    case readWrite = "read-write"
  }

  /// A right to use buffers.
  public struct Grant: Equatable, Sendable {
    /// How a VM that may only read gets the pixels.
    public enum Form: String, CaseIterable, Sendable {
      /// A copy of its own.
      case shadow
      /// The memory itself, which it could write.
      case shared
    }

    /// Whose buffers.
    public var owner: Party
    /// Who may use them.
    public var grantee: Party
    /// The name of those buffers; nil: all that the owner has.
    public var buffer: String?
    /// The screen of the owner that may be seen, instead of buffers.
    public var display: Int?
    /// How.
    public var access: Access
    /// Nil: as the VMM of the VM allows.
    public var form: Form?
  }

  /// The hub's socket; nil for the default.
  public var hubSocket: String?
  /// How many seconds a consumer may keep a buffer that it has to release; nil for the hub's own limit.
  public var leaseLimit: Double?
  /// The displays, at least one.
  public var displays: [Display]
  /// The machines.
  public var machines: [Machine]
  /// Programs that offer or acquire buffers.
  public var applications: [Application]
  /// Who may use whose buffers.
  public var grants: [Grant]

  /// What differs from `other` beyond the places of screens, for a message; nil when only those do. Processes and sockets
  /// are what they were started as; places can change while everything runs.
  public func difference(from other: Configuration) -> String? {
    if hubSocket != other.hubSocket { return "the hub's socket" }
    if let name = Self.changed(displays, other.displays, \.name) { return "display \"\(name)\"" }
    let machine = Self.changed(machines.map(\.withoutPlaces), other.machines.map(\.withoutPlaces), \.name)
    if let machine { return "VM \"\(machine)\"" }
    if applications != other.applications { return "the list of applications" }
    return grants == other.grants ? nil : "the list of grants"
  }

  private static func changed<Element: Equatable>(
    _ new: [Element], _ old: [Element], _ name: (Element) -> String
  ) -> String? {
    if let pair = zip(new, old).first(where: { $0 != $1 }) { return name(pair.0) }
    let (longer, count) = new.count > old.count ? (new, old.count) : (old, new.count)
    return longer.dropFirst(count).first.map(name)
  }

  /// How many scanouts a virtio-gpu device can have (VIRTIO 1.3, 5.7.4).
  public static let maximumScanouts = 16
  /// The sizes that a display or a scanout can have, in pixels each way.
  public static let extents = 32...8192
  /// The layers.
  public static let layers = -1000...1000
  /// The frame rates of a display.
  public static let refreshRates = 1...240
  /// Seconds after which a renderer may count as hung.
  public static let hangSeconds = 1...3600
  /// The largest host-visible region, in bytes.
  public static let maximumWindow = 1 << 40
  /// What the name of a heap is, for messages.
  public static let heapExpectation =
    "the name of a file in \(DMAHeap.folder), such as \"system\", or a path in \(GBM.folder)"
  /// How long a consumer may keep a buffer, in seconds.
  public static let leaseLimits = 0.1...3600.0
  /// How long a name may be, in bytes.
  public static let maximumNameLength = 63
  /// How long a socket's path may be, in bytes (`sun_path`).
  public static let maximumSocketPathLength = 107
}
