import ArgumentParser
import Buffers
import Glibc
import HubProtocol

/// `muntin-guest export`.
struct GuestExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Gives a buffer to others, and keeps it up to date until this program is ended.",
    discussion: """
      The buffer is memory of the host's, charged to this virtual machine, unless --allocate says otherwise. Others see it when the host grants it: \
      `muntin grant vm:THIS vm:OTHER --name NAME`. When the hub goes away, it is offered again to the next one.

      EXAMPLES
        muntin-guest export clock --size 640x400 --pattern
        muntin-guest export map --size 1280x720 --png map.png --property layer=base
      """
  )

  @Argument(help: ArgumentHelp("The buffer's name.", valueName: "name"), transform: GuestArgument.name)
  var name: PeerName

  @Option(help: ArgumentHelp("Columns and rows.", valueName: "width x height"), transform: GuestArgument.size)
  var size: Size

  @Option(help: ArgumentHelp("How a pixel's bytes mean colours.", valueName: "format"), transform: GuestArgument.format)
  var format = PixelFormat.xrgb8888

  @Option(
    help: ArgumentHelp("A property that others can look for; may be given several times.", valueName: "name=value"),
    transform: GuestArgument.property)
  var property: [BufferProperty] = []

  @Flag(help: "Show a moving pattern.")
  var pattern = false

  @Option(help: ArgumentHelp("Show a PNG file, and its new contents whenever it changes.", valueName: "file"))
  var png: String?

  @Option(help: ArgumentHelp("Show a file of pixels, and its new contents whenever it changes.", valueName: "file"))
  var raw: String?

  @Option(help: ArgumentHelp("With --pattern: stand still after so many frames.", valueName: "count"))
  var frames: UInt64?

  @Option(help: ArgumentHelp("The most frames a second.", valueName: "number"), transform: GuestArgument.rate)
  var rate = 30.0

  @Option(
    help: ArgumentHelp(
      "How many images it has, 1 to 3.",
      discussion: """
        With several, frames are drawn into one that no reader holds. Where n programs read the buffer's own memory, \
        n + 2 images leave no frame out.
        """, valueName: "count"))
  var images = 2

  @Flag(help: "Let the host grant others the right to write, too.")
  var writable = false

  @Option(
    help: ArgumentHelp(
      "guest or host: whose memory the buffer is in.",
      discussion:
        "guest: pages of this machine; others see them where the host has udmabuf, or if they have sees_memory_of.",
      valueName: "side"), transform: GuestArgument.allocation)
  var allocate = AllocationSide.host

  @OptionGroup var card: CardOptions

  func validate() throws {
    guard [pattern, png != nil, raw != nil].filter(\.self).count == 1 else {
      throw ValidationError("give one of --pattern, --png FILE and --raw FILE")
    }
    guard frames == nil || pattern else { throw ValidationError("--frames goes with --pattern") }
    guard (1...ImageChain.maximumCount).contains(images) else { throw ValidationError("give 1 to 3 as --images") }
    guard frames != 0 else { throw ValidationError("give at least 1 as --frames") }
    guard property.count <= BufferProperty.maximumCount, Set(property.map(\.name)).count == property.count else {
      throw ValidationError("at most \(BufferProperty.maximumCount) properties, with different names")
    }
  }

  private var source: FrameSource {
    if let png { return .file(.png(png)) }
    if let raw { return .file(.raw(raw)) }
    return .pattern(frames: frames)
  }

  func run() throws {
    guard let layout = PixelLayout(size: size, format: format) else { throw ValidationError("no such picture") }
    var export = Export(name: name, layout: layout, source: source)
    export.properties = property
    export.isWritable = writable
    export.allocation = allocate
    export.rate = rate
    export.images = images
    let conversation = try card.connect()
    var exporter = try Exporter(export, conversation)
    print("exported \(name) \(size) \(format) as \(exporter.bufferID)")
    fflush(nil)
    while true {
      do {
        try exporter.run()
      } catch GuestError.channelOver {
        exporter = try conversation.whenHubIsBack { () throws(GuestError) in
          try Exporter(export, id: exporter.bufferID, conversation)
        }
      }
    }
  }
}
