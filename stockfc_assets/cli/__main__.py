from stockfc_assets.cli.program import main

main()
