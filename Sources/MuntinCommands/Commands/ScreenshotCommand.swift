import ArgumentParser
import Buffers
import Compositor
import Glibc
import HubProtocol

/// `muntin screenshot`.
struct ScreenshotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "screenshot",
    abstract: "Saves what a display shows as a PNG file.",
    discussion: """
      Takes the picture of any display that is connected to the hub, whatever its output. The file appears whole or not \
      at all.

      EXAMPLES
        muntin screenshot wall.png
        muntin screenshot --display wall wall.png
      """
  )

  @Option(
    help: ArgumentHelp("The display. Default: the hub's first.", valueName: "name"), transform: ArgumentValue.name)
  var display: PeerName?

  @OptionGroup var hub: HubOptions

  @Argument(help: ArgumentHelp("Where to save it.", valueName: "file.png"))
  var file: String

  func run() throws {
    let client = try HubClient.connect(hub.path)
    let frame: FrameReader
    do {
      frame = try client.screenshot(display: display)
    } catch ControlError.refused(let refusal) {
      throw CommandFailure("\(refusal.reason); `muntin list displays` shows which there are")
    }
    try save(frame)
  }

  private func save(_ frame: FrameReader) throws {
    guard let layout = PixelLayout(size: frame.buffer.layout.size, format: frame.buffer.layout.format) else {
      throw CommandFailure("the display's size \(frame.buffer.layout.size) cannot be saved")
    }
    let pixels = UnsafeMutableRawBufferPointer.allocate(byteCount: layout.byteCount, alignment: 16)
    defer { pixels.deallocate() }
    guard Self.copy(frame, into: pixels) else { throw CommandFailure("the display draws all the time; try again") }
    try PNGFile.write(path: file, pixels: UnsafeRawBufferPointer(pixels), layout: layout)
  }

  /// A frame that is drawn to all the time is still between two frames now and then.
  private static func copy(_ frame: FrameReader, into pixels: UnsafeMutableRawBufferPointer) -> Bool {
    for _ in 0..<20 {
      if frame.copyPixels(into: pixels, attempts: 10) != nil { return true }
      usleep(3000)
    }
    return false
  }
}
