@main
struct Muntin {
  static func main() {}
}
