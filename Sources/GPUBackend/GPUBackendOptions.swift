import Buffers
import Platform
import Rendering
import Sandbox

/// How the graphics card of one VM is run.
public struct GPUBackendOptions: Sendable {
  /// Where the VMM finds the card.
  public enum Socket: Equatable, Sendable {
    /// A listening socket is made at this path.
    case path(String)
    /// An open descriptor was handed over: a connection or a listening socket.
    case descriptor(Int32)
  }

  /// The VMM's end.
  public var socket: Socket
  /// The hub's socket; nil: the card works alone and mirrors its scanouts to the VMM's own display.
  public var hubPath: String?
  /// The VM's name, towards the hub and in its displays' EDID.
  public var vmName: String
  /// One scanout each.
  public var sizes: [Size]
  /// The most that the guest can make the host hold.
  public var limits: LedgerAmounts
  /// Whose memory the guest's pictures are in.
  public var allocation = AllocationSide.guest
  /// The dma-buf heap that host pictures are allocated from, or the node of the graphics driver (`/dev/dri/...`), where
  /// it can be used and all who are shown them take dma-bufs; nil: memory files only.
  public var heap: String?
  /// Length of the region in which the guest sees host memory; 0: none.
  public var hostVisible: UInt64 = 256 << 20
  /// What sizes and places of blobs are multiples of.
  public var blobAlignment = BlobAlignment.pages4K
  /// Whether the guest's programs may open channels to the hub.
  public var hubChannel = false
  /// Whether those programs may let others see the VM's screens.
  public var sharesDisplays = false
  /// Whether the VMM maps memory read-only where SHMEM_MAP says so.
  public var vmmMapsReadOnly = false
  /// What draws in 3D for the guest; nil: nothing does.
  public var rendering: VirglOptions?
  /// How long what the renderer does may take before it counts as hung, and the process ends.
  public var hangLimit = Duration.seconds(10)
  /// The socket of the Wayland compositor that the guest's programs may open channels to; nil: none.
  public var waylandPath: String?

  /// Whether the process gives up what it does not need before it serves a guest.
  public var sandbox = SandboxMode.on

  /// A card with one scanout of 1280x800 that works alone.
  public init(
    socket: Socket, hubPath: String? = nil, vmName: String = "vm",
    sizes: [Size] = [Size(width: 1280, height: 800)], limits: LedgerAmounts = .usualLimits
  ) {
    self.socket = socket
    self.hubPath = hubPath
    self.vmName = vmName
    self.sizes = sizes
    self.limits = limits
  }
}

/// Why the card cannot be run.
public enum GPUBackendError: Error, Equatable, CustomStringConvertible {
  /// The hub takes names of 1 to 63 bytes without control characters.
  case invalidName(String)
  /// A virtio-gpu card has 1 to 16 scanouts.
  case scanoutCount(Int)
  /// A scanout of this size cannot be.
  case scanoutSize(Size)
  /// The process that connects for a card in its sandbox cannot be started.
  case noConnector(SystemError)
  /// The process that connects for a card in its sandbox has ended.
  case connectorEnded
  /// The card cannot shut itself in.
  case noSandbox(SandboxError)

  /// What is wrong and what to do.
  public var description: String {
    switch self {
    case .invalidName(let name): "VM name \"\(name)\": give 1 to 63 bytes without control characters"
    case .scanoutCount(let count): "\(count) scanouts: give --size 1 to 16 times"
    case .scanoutSize(let size): "scanout size \(size): give a width and height from 32 to 8192"
    case .noConnector(let error):
      "the card's connector does not start (\(error)): is /proc mounted, and may this program run itself? "
        + "--sandbox off does without it"
    case .connectorEnded: "the card's connector has ended, so that nothing can be connected to: start the card again"
    case .noSandbox(let error):
      "the card cannot shut itself in: \(error). Report this; --sandbox off does without"
    }
  }
}
