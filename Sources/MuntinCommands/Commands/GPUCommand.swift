import ArgumentParser
import Buffers
import GPUBackend
import Glibc
import HubProtocol
import Listing
import Logging
import Platform
import Rendering
import Sandbox
import Supervisor

/// `muntin gpu`, as QEMU's back-end program conventions want it (vhost-user.rst).
struct GPUCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gpu",
    abstract: "The graphics card of one virtual machine: a vhost-user back-end.",
    discussion: """
      Follows the conventions of QEMU for back-end programs: it stays in the foreground, ends on SIGTERM, and takes its \
      socket by --socket-path, where it listens, or by --fd, an inherited descriptor that is connected or listening. It \
      outlives the virtual machine: after a disconnect it waits for the next one.

      With --hub it shows its screens through that hub. Without, it works alone: where the VMM hands over a display \
      socket, it mirrors its screens there, as QEMU's own vhost-user-gpu does.

      EXAMPLES
        muntin gpu --socket-path a.sock --hub hub.sock --vm alpha --size 960x720
        muntin gpu --fd 3 --size 1920x1080 --size 1280x1024 --memory-limit 512M
        muntin gpu --print-capabilities
      """
  )

  @Option(help: ArgumentHelp("Listen for the VMM at this path.", valueName: "path"))
  var socketPath: String?

  @Option(
    help: ArgumentHelp("Take the VMM's socket from this inherited descriptor.", valueName: "number"),
    transform: ArgumentValue.descriptor)
  var fd: Int32?

  @Option(help: ArgumentHelp("The hub that shows the screens. Without it the card works alone.", valueName: "path"))
  var hub: String?

  @Option(
    help: ArgumentHelp(
      "The virtual machine's name, for the hub and the EDID.",
      discussion: "Default: the name of the socket's file without its extension, else vm.", valueName: "name"),
    transform: ArgumentValue.name)
  var vm: PeerName?

  @Option(
    name: .customLong("size"),
    help: ArgumentHelp(
      "A screen of that many pixels; once for each screen, up to 16. (default: 1280x800)", valueName: "WxH"),
    transform: ArgumentValue.size)
  var sizes: [Size] = []

  @Option(
    help: ArgumentHelp(
      "How much memory the guest's pictures may take on the host, such as 256M.",
      discussion: "Beyond it the guest is told that there is no memory. Default: 256M.", valueName: "size"),
    transform: ArgumentValue.memorySize)
  var memoryLimit: MemorySize?

  @Option(
    help: ArgumentHelp(
      "Whose memory the guest's pictures are in: guest or host.",
      discussion: """
        guest: the guest's own pages, shown without a copy; it pays with its own memory. host: memory that the memory \
        limit pays, and that the guest sees through its host-visible region. Default: guest.
        """, valueName: "side"),
    transform: ArgumentValue.allocation)
  var allocate: AllocationSide?

  @Option(
    help: ArgumentHelp(
      "Allocate the host's pictures from this dma-buf heap, such as system, or by this node's driver (/dev/dri/...).",
      discussion: """
        Where that can be used, and all displays of a picture take dma-bufs; else in memory files, as without this. \
        Devices can use such memory, too. muntin doctor names the heaps and nodes of this machine.
        """, valueName: "name"),
    transform: ArgumentValue.heap)
  var heap: String?

  @Option(
    help: ArgumentHelp(
      "The size of the host-visible region, in which the guest sees memory of the host; 0 for none.",
      discussion: """
        With a region the VMM gets no memory slots (vhost-user's CONFIGURE_MEM_SLOTS), because QEMU 11.1.3 crashes when \
        it has both. Default: 256M.
        """, valueName: "size"),
    transform: ArgumentValue.window)
  var hostVisible: Int?

  @Option(
    help: ArgumentHelp(
      "What sizes and places of blobs are multiples of: 4K, 16K or 64K.",
      discussion: "The larger one of the guest's and the host's page sizes. Default: 4K.", valueName: "size"),
    transform: ArgumentValue.blobAlignment)
  var blobAlignment: BlobAlignment?

  @Option(
    name: .customLong("limit"),
    help: ArgumentHelp(
      "Another limit of the guest's; may be repeated.",
      discussion: """
        Bytes: guest_memory, imported, bookkeeping, rendering. Counts: buffers, contexts, descriptors, commands.
        """,
      valueName: "what=amount"),
    transform: ArgumentValue.limit)
  var limits: [ArgumentValue.Limit] = []

  @Option(
    help: ArgumentHelp(
      "What the guest's programs may open channels to: hub. Needs --hub and a host-visible region.",
      discussion: """
        With it, programs in the guest show other VMs what they draw, and use what others granted to this VM \
        (muntin-guest). The guest is offered VIRGL then, so that its own framebuffers are 2D resources and are copied.
        """,
      valueName: "name"),
    transform: ArgumentValue.channel)
  var channel: Configuration.Channel?

  @Flag(help: "Let the guest's programs show this VM's screens to others (muntin-guest share-display).")
  var shareDisplays = false

  @Flag(
    help: ArgumentHelp(
      "The VMM maps for its guest read-only what it is told to.",
      discussion: """
        Then what was granted to this VM for reading reaches its guest without a copy. QEMU (up to 11.1 at least) refuses \
        such memory.
        """))
  var vmmMapsReadOnly = false
  @Option(
    help: ArgumentHelp(
      "The socket of the Wayland compositor in which the guest's Wayland clients may have windows.",
      discussion: """
        A proxy in the guest opens a channel to it (CROSS_DOMAIN, type 1) for each client. The guest can then do there \
        what any client can. Needs a host-visible region.
        """,
      valueName: "path"))
  var wayland: String?

  @Flag(help: "Print what the back-end can do, as JSON, and exit.")
  var printCapabilities = false

  @Flag(
    help: ArgumentHelp(
      "3D for the guest: OpenGL by virglrenderer.",
      discussion: "Without --render-node by Mesa's software driver. muntin doctor says what is there."))
  var virgl = false

  @Flag(
    help: ArgumentHelp(
      "3D for the guest: Vulkan by virglrenderer's render server. May go with --virgl.",
      discussion: """
        Needs a VMM that passes blobs, CONTEXT_INIT and a host-visible region on, such as QEMU 11's generic vhost-user \
        device. muntin doctor says what is there.
        """))
  var venus = false

  @Option(
    help: ArgumentHelp(
      "Draw in 3D on the GPU of this render node (/dev/dri/...); of use with --virgl or --venus only.",
      valueName: "path"))
  var renderNode: String?

  @Option(
    help: ArgumentHelp(
      "With 3D: end when the renderer has done nothing for so long of what the guest waits for.",
      discussion: "A shader that never ends hangs the card, which is then started again by muntin up. Default: 10.",
      valueName: "seconds"),
    transform: ArgumentValue.hangSeconds)
  var hangSeconds: Int?

  @Option(
    help: ArgumentHelp(
      "Whether the process shuts itself in before it serves the guest: on, log or off.",
      discussion: """
        on: no file, socket, program or other process can be reached any more but by what is open. log: the same, and \
        what was refused is said on standard error. off: none of it. Default: on.
        """, valueName: "mode"),
    transform: ArgumentValue.sandbox)
  var sandbox: SandboxMode?

  @OptionGroup var log: LogOptions

  func validate() throws {
    if printCapabilities { return }
    if renderNode != nil && !virgl && !venus {
      throw ValidationError("--render-node has no effect without --virgl, because 2D needs no GPU; leave it out")
    }
    guard (socketPath == nil) != (fd == nil) else {
      throw ValidationError("give either --socket-path PATH or --fd NUMBER\(fd == nil ? "" : ", not both")")
    }
    guard sizes.count <= Configuration.maximumScanouts else {
      throw ValidationError(
        "\(sizes.count) screens; a virtio-gpu has at most \(Configuration.maximumScanouts), so leave out some --size")
    }
    if let socketPath { try Self.checkSocketPath(socketPath) }
    if shareDisplays && channel == nil {
      throw ValidationError("--share-displays needs --channel hub: without it the guest's programs reach nobody")
    }
    if channel != nil && hub == nil {
      throw ValidationError("--channel hub needs --hub PATH: without a hub there is nothing to open a channel to")
    }
    if channel != nil && hostVisible == 0 {
      throw ValidationError("--channel hub needs a host-visible region: leave out --host-visible 0")
    }
    if venus && hostVisible == 0 {
      throw ValidationError("--venus needs a host-visible region: leave out --host-visible 0")
    }
    if let wayland { try checkWayland(wayland) }
  }

  private func checkWayland(_ path: String) throws {
    try Self.checkSocketPath(path)
    guard hostVisible != 0 else {
      throw ValidationError("--wayland needs a host-visible region: leave out --host-visible 0")
    }
  }

  static func checkSocketPath(_ path: String) throws {
    guard (1...Configuration.maximumSocketPathLength).contains(path.utf8.count) else {
      throw ValidationError(
        "a socket's path has 1 to \(Configuration.maximumSocketPathLength) bytes, but \"\(path)\" has "
          + "\(path.utf8.count); choose a shorter one")
    }
  }

  func run() throws {
    if printCapabilities {
      print(Self.capabilities)
      return
    }
    guard let socket else { return }
    PartProcess.begin()
    var options = GPUBackendOptions(socket: socket)
    options.hubPath = hub
    options.vmName = machineName
    if !sizes.isEmpty { options.sizes = sizes }
    if let memoryLimit { options.limits.hostAllocated = memoryLimit.bytes }
    if let allocate { options.allocation = allocate }
    options.heap = heap
    if let hostVisible { options.hostVisible = UInt64(hostVisible) }
    options.hubChannel = channel == .hub
    options.sharesDisplays = shareDisplays
    options.vmmMapsReadOnly = vmmMapsReadOnly
    options.waylandPath = wayland
    options.rendering = rendering
    if let sandbox { options.sandbox = sandbox }
    if let hangSeconds { options.hangLimit = .seconds(hangSeconds) }
    if let blobAlignment { options.blobAlignment = blobAlignment }
    for limit in limits { options.limits[limit.quantity] = limit.amount }
    try GPUProcess(options, logger: log.logger("muntin.gpu")).run()
  }

  /// Only what works: a VMM offers its guest what stands here.
  static var capabilities: JSONValue {
    let hasRenderer = (try? VirglLibrary()) != nil
    let features = hasRenderer ? ["render-node", "virgl"] : []
    return .object([("type", .string("gpu")), ("features", .array(features.map { .string($0) }))])
  }

  private var rendering: VirglOptions? {
    guard virgl || venus else { return nil }
    var options = VirglOptions()
    options.openGL = virgl
    options.venus = venus
    options.renderNode = renderNode
    return options
  }

  private var socket: GPUBackendOptions.Socket? {
    if let socketPath { return .path(socketPath) }
    return fd.map { .descriptor($0) }
  }

  /// The name given, or one from the socket's file.
  var machineName: String {
    if let vm { return vm.text }
    let file = socketPath?.split(separator: "/").last ?? ""
    let stem = file.prefix { $0 != "." }
    return PeerName(stem)?.text ?? "vm"
  }
}

/// What every part does first.
enum PartProcess {
  /// A closed standard error is no reason to end, and every picture takes descriptors.
  static func begin() {
    signal(SIGPIPE, SIG_IGN)
    DescriptorLimit.raise()
  }
}
