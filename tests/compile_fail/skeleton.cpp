// The harness itself: an empty program must compile, nonsense must not.
// rule: nonsense
int main() {
#ifdef RESNET_FAIL
    nonsense;  // error here
#endif
}
