"""Write-verify strategies on whole arrays: one PULSE and one READ exchange a step, whatever the number of cells."""
