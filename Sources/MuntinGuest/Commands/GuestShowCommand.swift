import ArgumentParser
import HubProtocol
import Platform

/// `muntin-guest show`.
struct GuestShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Shows a buffer, or a screen, of another virtual machine or program on a screen of this one.",
    discussion: """
      The screen shows the buffer's own memory, without a copy where the right is read-write; it has to offer a mode of the \
      buffer's size. Needs the screen for itself: no other program of this virtual machine may use it meanwhile.

      EXAMPLE
        muntin-guest show clock --owner ivi --kms
        muntin-guest show ivi:0 --kms
      """
  )

  @OptionGroup var buffer: BufferOptions

  @Flag(help: "Show it by the kernel's mode setting.")
  var kms = false

  @Option(help: ArgumentHelp("Which screen of the card.", valueName: "number"))
  var screen = 0

  @OptionGroup var card: CardOptions

  func validate() throws {
    guard kms else { throw ValidationError("give --kms") }
  }

  func run() throws {
    var importer = try Importer(try buffer.name, access: buffer.access, try card.connect(withScreens: true))
    while true {
      do {
        try show(importer)
      } catch GuestError.retired {
        guard let next = try importer.again() else { throw GuestError.retired }
        importer = next
      }
    }
  }

  private func show(_ importer: Importer) throws {
    _ = try importer.waitForWholePicture()
    let screen = try importer.show(on: screen)
    try importer.done()
    while true {
      guard let update = try importer.nextUpdate(until: .now + .seconds(3600)) else { continue }
      try screen.update(update.damage)
      try importer.done()
    }
  }
}
