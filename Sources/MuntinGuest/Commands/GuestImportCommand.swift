import ArgumentParser
import Buffers
import Platform

/// `muntin-guest import`.
struct GuestImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Uses a buffer of another virtual machine or program.",
    discussion: """
      Without --follow the picture is written once. With it the file, if one is named, is written anew for each update, and \
      then the command is run by sh; its environment holds MUNTIN_GENERATION, MUNTIN_DAMAGE (x y width height), \
      MUNTIN_SIZE, MUNTIN_NAME, MUNTIN_OWNER and MUNTIN_BUFFER. The picture stays as it is until the command has \
      ended. It ends when the command fails, or the buffer is taken away; when the host's hub is restarted it goes on.

      EXAMPLES
        muntin-guest import clock --png clock.png
        muntin-guest import ivi:0 --png screen.png
        muntin-guest import clock --owner ivi --raw /run/clock --follow 'echo $MUNTIN_GENERATION'
      """
  )

  @OptionGroup var buffer: BufferOptions

  @Option(help: ArgumentHelp("Write the picture as a PNG file.", valueName: "file"))
  var png: String?

  @Option(help: ArgumentHelp("Write the picture's pixels, row after row.", valueName: "file"))
  var raw: String?

  @Option(help: ArgumentHelp("Run a command for each update.", valueName: "command"))
  var follow: String?

  @Option(
    help: ArgumentHelp(
      "With --follow: keep each picture so long, and fail if it is drawn over meanwhile.", valueName: "seconds"),
    transform: GuestArgument.seconds)
  var hold: Double?

  @OptionGroup var card: CardOptions

  func validate() throws {
    guard png == nil || raw == nil else { throw ValidationError("give one of --png and --raw") }
    guard hold == nil || follow != nil else { throw ValidationError("--hold goes with --follow") }
    guard png != nil || raw != nil || follow != nil else {
      throw ValidationError("give --png FILE, --raw FILE or --follow COMMAND")
    }
  }

  private var file: PictureFile? { png.map { .png($0) } ?? raw.map { .raw($0) } }

  func run() throws {
    if let follow { try keepFollowing(UpdateCommand(text: follow)) }
    let importer = try acquire()
    if try !importer.waitForWholePicture() {
      Warning.print("the owner does not say that the picture is whole; it is taken as it is")
    }
    if let file { try importer.write(file) }
    try importer.release()
  }

  private func acquire() throws -> Importer {
    try Importer(try buffer.name, access: buffer.access, try card.connect())
  }

  private func keepFollowing(_ command: UpdateCommand) throws -> Never {
    var importer = try acquire()
    while true {
      do throws(GuestError) {
        try follow(importer, command)
      } catch {
        importer = try importer.again(after: error)
      }
    }
  }

  private func follow(_ importer: Importer, _ command: UpdateCommand) throws(GuestError) {
    while true {
      guard let update = try importer.nextUpdate(until: .now + .seconds(3600)) else { continue }
      if let file { try importer.write(file) }
      try command.run(update, of: importer.info)
      if let hold { try importer.hold(for: .nanoseconds(Int64(hold * 1e9))) }
      try importer.done()
    }
  }
}
